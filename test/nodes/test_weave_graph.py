"""What the background model finds, worked into the talk: both nodes in processes of their own, a person who speaks."""

import json
import os
import signal
import time

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

from std_srvs.srv import Trigger

from tml_interfaces.msg import DelegationEvent, SessionState, SpeechChunk

BRING = {"intent": "__intent_bring_object__", "data": {"object": "cup", "recipient": "speaker"}}


def stamp_s(stamp) -> float:
    return stamp.sec + stamp.nanosec / 1e9


def test_robot_corrects_itself_and_takes_its_proposal_back_when_a_result_contradicts_it(talk):
    result = {"report": "There is no cup in the lab.", "contradicts": [1]}
    robot = talk([{"match": "really", "updates": [{"after_s": 1.0, "result": result}]}])
    robot.type("bring me the cup")
    robot.hear(lambda: bool(robot.intents), "the proposal")
    robot.type("is there really a cup")
    robot.hear(robot.has_said("Correction: There is no cup in the lab."), "the correction")
    (correction,) = {c.utterance_id: c for c in robot.speech if c.kind == SpeechChunk.CORRECTION}.values()
    reply = next(c for c in robot.speech if c.kind == SpeechChunk.REPLY)
    assert correction.revises == reply.utterance_id == 1
    first, withdrawn = robot.intents
    assert withdrawn.intent_id == first.intent_id
    assert stamp_s(withdrawn.expires_at) <= stamp_s(withdrawn.header.stamp) < stamp_s(first.expires_at)


def test_nothing_comes_of_a_task_when_the_person_withdraws_it(talk):
    result = {"report": "I would bring it.", "intents": [BRING]}
    robot = talk([{"match": "order", "updates": [{"after_s": 3.0, "result": result}]}])
    robot.type("order some gloves")
    robot.hear(lambda: len(robot.open_tasks) == 1, "the task to be open")
    robot.hear(lambda: robot.running() == "1", "the background node to work on it")
    robot.microphone.say("never mind")
    robot.hear(lambda: robot.open_tasks == [], "the task to be withdrawn")
    robot.hear(lambda: robot.running() == "0", "the background node to stop", timeout_s=3.0)
    robot.graph.spin(3.0)
    assert "I would bring it." not in robot.said()
    assert robot.intents == []
    told = [(event.event, event.task) for event in robot.delegations]
    assert told == [(DelegationEvent.REQUESTED, "order some gloves"), (DelegationEvent.WITHDRAWN, "")]


def test_result_is_dropped_when_a_new_session_has_begun(talk):
    robot = talk([{"match": "order", "updates": [{"after_s": 2.0, "result": {"report": "Too late."}}]}])
    robot.type("order some gloves")
    robot.hear(lambda: len(robot.open_tasks) == 1, "the task to be open")
    old = robot.states[-1].session_id
    robot.graph.call(Trigger, "interaction/reset", Trigger.Request())
    robot.hear(lambda: robot.states[-1].session_id != old, "the new session")
    assert robot.open_tasks == []
    robot.graph.spin(3.5)
    assert "Too late." not in robot.said()
    robot.type("what is your name")
    robot.hear(robot.has_said("I am a robot."), "the new session to answer")


def test_task_is_cancelled_and_another_begun_when_the_person_cuts_in_with_another_request(talk):
    long = "I am looking through all of the plans of the building, one floor after the other, please be patient."
    tasks = [
        {"match": "shower", "updates": [{"progress": {"stage": "search", "status_text": long}}, {"hang": True}]},
        {"match": "extinguisher", "updates": [{"after_s": 0.3, "result": {"report": "It is by the door."}}]},
    ]
    robot = talk(tasks, "delegation.filler_after_s:=0.5")
    robot.microphone.say("where is the safety shower")
    robot.hear(lambda: bool(robot.said(SpeechChunk.FILLER)), "the filler")
    first = robot.open_tasks
    robot.graph.spin(0.5)
    robot.microphone.say("where is the fire extinguisher")
    robot.hear(lambda: robot.states[-1].floor == "yield", "the robot to stop talking", timeout_s=5.0)
    robot.hear(robot.has_said("It is by the door."), "the answer to the other question", timeout_s=8.0)
    assert not set(first) & set(robot.open_tasks)
    robot.hear(lambda: robot.running() == "0", "the first task to be cancelled", timeout_s=3.0)


def test_robot_goes_on_talking_and_listening_when_a_task_hangs(talk):
    robot = talk([{"updates": [{"hang": True}]}], "delegation.budget_s:=6.0", "delegation.filler_after_s:=30.0")
    robot.type("order some gloves")
    robot.hear(lambda: len(robot.open_tasks) == 1, "the task to be open")
    robot.microphone.say("turn left")
    assert robot.hear(robot.has_said("Turning left."), "the reply") < 4.0
    robot.hear(lambda: bool(robot.intents), "the proposal", timeout_s=1.0)
    robot.hear(robot.has_said("took me too long"), "the end of the task", timeout_s=10.0)


def test_robot_says_so_when_the_background_node_is_killed_and_asks_it_again_when_it_is_back(talk):
    tasks = [
        {"match": "order", "updates": [{"hang": True}]},
        {"match": "where", "updates": [{"result": {"report": "It is there."}}]},
    ]
    robot = talk(tasks, "delegation.filler_after_s:=60.0")
    robot.type("order some gloves")
    robot.hear(lambda: robot.running() == "1", "the background node to work on it")
    os.killpg(robot.background.pid, signal.SIGKILL)
    took_s = robot.hear(robot.has_said("stopped working"), "the robot to say so")
    assert took_s < 3.0 + 2.0  # it knows after 3 s without a sign of life
    robot.type("where are they")
    robot.hear(lambda: robot.states[-1].active_delegations == [] and len(robot.said()) > 1, "the robot to say so again")
    robot.graph.start_background(*robot.background_options, log="background2.log")
    robot.type("where are they")
    robot.hear(robot.has_said("It is there."), "the answer of the restarted node")


def test_robot_says_so_when_there_is_no_background_node(graph, talk):
    robot = talk([])
    robot.graph.stop(robot.background)
    robot.type("order some gloves")
    assert robot.hear(robot.has_said("I have nobody to ask at the moment."), "the robot to say so") < 1.0 + 2.0


def test_lab_questions_are_answered_when_they_are_spoken(talk):
    offline = ("backend:=offline", "documents:=config/lab/documents", "skills_file:=config/lab/skills.yaml")
    robot = talk(background=offline)
    ended_s = robot.microphone.say("where is the eye wash station?")
    robot.hear(robot.has_said("eye wash station is"), "the answer")
    heard_s = time.time() - ended_s
    answer = next(c for c in robot.speech if c.kind == SpeechChunk.BACKGROUND)
    print(f"answered {heard_s:.2f} s after the question, by the stamp {stamp_s(answer.header.stamp) - ended_s:.2f} s")
    assert heard_s < 1.5
    robot.hear(lambda: "lab map" in " ".join(robot.said()), "the source")
    robot.hear(lambda: robot.states[-1].agent_state == SessionState.AGENT_LISTENING, "the robot to end")
    robot.microphone.say("prepare station two for titration")
    robot.hear(lambda: len(robot.intents) >= 4, "the plan")
    plan = [(intent.intent, json.loads(intent.data)) for intent in robot.intents]
    assert plan[0] == ("__intent_bring_object__", {"object": "goggles", "recipient": "speaker"})
    assert ("__intent_place_object__", {"object": "burette", "recipient": "station two"}) in plan
    ends = [stamp_s(intent.expires_at) for intent in robot.intents]
    assert ends == sorted(ends)
    assert all(intent.requires_confirmation for intent in robot.intents)
