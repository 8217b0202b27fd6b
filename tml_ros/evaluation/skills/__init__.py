"""What a checkpoint can do, skill by skill: commands, sentences, turns, interruptions, sights; other models beside it.

Everything goes through the engine as on a robot, micro-turn by micro-turn, and nothing through the forward pass of
training. ``run`` is the way in. L4: knows no command line and no tensors.
"""

from tml_ros.evaluation.skills.material import Material, find_material
from tml_ros.evaluation.skills.run import ITEMS, SkillRun, run_skills

__all__ = ["ITEMS", "Material", "SkillRun", "find_material", "run_skills"]
