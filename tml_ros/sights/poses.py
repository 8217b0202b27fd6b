"""Where the joints of a figure are: walking, standing, at exercise, at a desk. It draws nothing.

Units: the height of the figure when upright. x to the right, y down, the floor at y = 0 under the feet.
"""

import math

from tml_ros.sights.canvas import Point

__all__ = ["Pose", "arm_raise", "front", "push_up", "sit", "squat", "walk"]

Pose = dict[str, Point]

HIP, SHOULDER, HEAD = -0.50, -0.80, -0.91
THIGH, SHIN, UPPER, FORE = 0.25, 0.25, 0.17, 0.16


def front(step: float = 0.0, sway: float = 0.0, width: float = 1.0) -> Pose:
    """Return a figure seen from the front or from behind.

    Args:
        step: phase of its gait, radians; both feet are on the ground at multiples of pi.
        sway: how far the head is off the middle.
        width: of shoulders and hips, 1 is usual.
    """
    lift = math.sin(step)
    pose: Pose = {"head": (sway, HEAD + 0.008 * abs(lift)), "neck": (0.6 * sway, -0.84), "hip": (0.0, HIP)}
    for side, sign in (("left", -1.0), ("right", 1.0)):
        up = max(0.0, sign * lift)
        hip_x, shoulder_x = 0.052 * sign * width, 0.102 * sign * width + 0.5 * sway
        pose[f"{side}_hip"] = (hip_x, HIP)
        pose[f"{side}_knee"] = (hip_x * 1.12, HIP + THIGH - 0.05 * up)
        pose[f"{side}_ankle"] = (hip_x * 1.15, -0.035 - 0.07 * up)
        pose[f"{side}_shoulder"] = (shoulder_x, SHOULDER + 0.022)
        pose[f"{side}_elbow"] = (shoulder_x + 0.035 * sign, SHOULDER + UPPER - 0.02 * up)
        pose[f"{side}_wrist"] = (shoulder_x + 0.04 * sign, SHOULDER + UPPER + FORE - 0.05 * up)
    return pose


def walk(step: float) -> Pose:
    """Return a figure seen from the side that walks to the right. step: phase of its gait, radians."""
    bob = 0.012 * math.cos(2.0 * step)
    pose: Pose = {"head": (0.03, HEAD + bob), "neck": (0.012, -0.84 + bob), "hip": (0.0, HIP + bob)}
    for side, phase in (("left", step), ("right", step + math.pi)):
        swing = 0.46 * math.sin(phase)
        bent = 0.75 * max(0.0, math.cos(phase)) + 0.08
        knee = _from((0.0, HIP + bob), THIGH, swing)
        pose[f"{side}_hip"] = (0.0, HIP + bob)
        pose[f"{side}_knee"] = knee
        pose[f"{side}_ankle"] = _from(knee, SHIN - 0.03, swing - bent)
        shoulder = (0.0, SHOULDER + bob)
        elbow = _from(shoulder, UPPER, -0.45 * math.sin(phase))
        pose[f"{side}_shoulder"] = shoulder
        pose[f"{side}_elbow"] = elbow
        pose[f"{side}_wrist"] = _from(elbow, FORE, -0.45 * math.sin(phase) + 0.35)
    return pose


def arm_raise(depth: float, width: float = 1.0) -> Pose:
    """Return a figure from the front whose arms are beside it at depth 0, above its head at depth 1."""
    pose = front(width=width)
    angle = math.radians(8.0 + 157.0 * depth)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        x, y = pose[f"{side}_shoulder"]
        dx, dy = sign * math.sin(angle), math.cos(angle)
        pose[f"{side}_elbow"] = (x + UPPER * dx, y + UPPER * dy)
        pose[f"{side}_wrist"] = (x + (UPPER + FORE) * dx, y + (UPPER + FORE) * dy)
    return pose


def squat(depth: float, width: float = 1.0) -> Pose:
    """Return a figure from the front that stands at depth 0 and has bent its knees at depth 1."""
    pose = front(width=width)
    drop = 0.23 * depth
    for name, (x, y) in pose.items():
        if "ankle" not in name and "knee" not in name:
            pose[name] = (x, y + drop)
    for side, sign in (("left", -1.0), ("right", 1.0)):
        x, y = pose[f"{side}_knee"]
        pose[f"{side}_knee"] = (x + 0.07 * sign * depth, y + 0.06 * depth)
        x, y = pose[f"{side}_shoulder"]
        pose[f"{side}_elbow"] = (x + 0.04 * sign, y + UPPER - 0.1 * depth)
        pose[f"{side}_wrist"] = (x + 0.01 * sign, y + UPPER + FORE - 0.24 * depth)
    return pose


def push_up(depth: float) -> Pose:
    """Return a figure from the side, head to the right, on straight arms at depth 0, near the floor at depth 1."""
    toe = (-0.62, -0.03)
    raised = 0.30 - 0.21 * depth
    shoulder = (0.20, -raised)
    along = (shoulder[0] - toe[0], shoulder[1] - toe[1])
    hip = (toe[0] + 0.62 * along[0], toe[1] + 0.62 * along[1])
    hand = (0.22, -0.02)
    bent = math.sqrt(max(0.0, (UPPER + FORE) ** 2 / 4 - raised**2 / 4))
    elbow = ((shoulder[0] + hand[0]) / 2 - bent, (shoulder[1] + hand[1]) / 2)
    pose: Pose = {"head": (0.33, shoulder[1] - 0.035), "neck": (0.245, shoulder[1] - 0.01), "hip": hip}
    for side in ("left", "right"):
        pose[f"{side}_hip"] = hip
        pose[f"{side}_knee"] = ((toe[0] + hip[0]) / 2, (toe[1] + hip[1]) / 2)
        pose[f"{side}_ankle"] = toe
        pose[f"{side}_shoulder"], pose[f"{side}_elbow"], pose[f"{side}_wrist"] = shoulder, elbow, hand
    return pose


def sit(lean_deg: float, reach: float = 0.0) -> Pose:
    """Return a figure from the side on a chair, facing right. lean_deg: of its back, from upright. reach: of arms."""
    hip = (0.0, -0.30)
    lean = math.radians(lean_deg)
    round_back = 0.5 * max(0.0, lean)
    shoulder = (hip[0] + 0.30 * math.sin(lean), hip[1] - 0.30 * math.cos(lean))
    neck = (shoulder[0] + 0.04 * math.sin(lean + round_back), shoulder[1] - 0.04 * math.cos(lean + round_back))
    head = (neck[0] + 0.085 * math.sin(lean + 2 * round_back), neck[1] - 0.085 * math.cos(lean + 2 * round_back))
    pose: Pose = {"head": head, "neck": neck, "hip": hip}
    knee = (0.24, -0.29)
    for side in ("left", "right"):
        elbow = _from(shoulder, UPPER, 0.25 + 0.3 * reach - 0.35 * lean)
        pose[f"{side}_hip"], pose[f"{side}_knee"], pose[f"{side}_ankle"] = hip, knee, (0.25, -0.04)
        pose[f"{side}_shoulder"], pose[f"{side}_elbow"] = shoulder, elbow
        pose[f"{side}_wrist"] = _from(elbow, FORE, 1.35 + 0.1 * reach)
    return pose


def _from(joint: Point, length: float, angle: float) -> Point:
    """Return the end of a limb that hangs down at angle 0 and points to the right at pi / 2."""
    return (joint[0] + length * math.sin(angle), joint[1] + length * math.cos(angle))
