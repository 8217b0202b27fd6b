"""Parameter declarations of the core as ROS parameters: descriptor, range, and a check on every set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from tml_ros.config import Parameter, check_known, param
from tml_ros.errors import ConfigError

__all__ = ["NodeConfig", "check_overrides", "declare", "values"]

_ROS_OWN = ("use_sim_time", "start_type_description_service")
_ROS_GROUPS = ("qos_overrides",)


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Parameters that every lifecycle node of this package has."""

    autostart: bool = param(True, "Configure and activate at start; false leaves it to a lifecycle manager")


def declare(node: Node, parameters: Mapping[str, Parameter]) -> None:
    """Declare parameters, overrides included, and refuse later sets that break a declaration.

    Raises:
        ConfigError: an override has the wrong type or is out of bounds.
    """
    for parameter in parameters.values():
        _declare_one(node, parameter)

    def check(changes: list[RosParameter]) -> SetParametersResult:
        try:
            for change in changes:
                if change.name in parameters:
                    parameters[change.name].check(change.value)
        except ConfigError as err:
            return SetParametersResult(successful=False, reason=str(err))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)


def check_overrides(node: Node, known: Mapping[str, Parameter], others: Iterable[str]) -> None:
    """Refuse parameters given to this node that nothing declares: a misspelt name would have no effect, in silence.

    Args:
        node: has declared what is known.
        known: what is declared.
        others: groups that are let through, so that one file may serve several models.

    Raises:
        ConfigError: names the unknown parameter and the nearest known one.
    """
    given = [name for name in node._parameter_overrides if name not in _ROS_OWN]
    check_known(given, known, (*_ROS_GROUPS, *others))


def values(node: Node, names: Mapping[str, Parameter]) -> dict[str, Any]:
    """Return the current values of declared parameters."""
    return {name: node.get_parameter(name).value for name in names}


def _declare_one(node: Node, parameter: Parameter) -> None:
    default = list(parameter.default) if parameter.is_list else parameter.default
    try:
        node.declare_parameter(parameter.name, default, _descriptor(parameter))
        value = node.get_parameter(parameter.name).value
    except Exception as err:  # rclpy raises a type of its own per kind of fault
        given = node._parameter_overrides.get(parameter.name)
        parameter.check(given.value if given is not None else default)
        raise ConfigError(f"parameter {parameter.name} cannot be declared: {err}") from err
    parameter.check(value)


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=parameter.describe())
    if parameter.is_list or (parameter.minimum is None and parameter.maximum is None):
        return descriptor
    low = parameter.minimum if parameter.minimum is not None else -1e12
    high = parameter.maximum if parameter.maximum is not None else 1e12
    if parameter.kind is int:
        descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=0)]
    else:
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
    return descriptor
