"""`rabbitmqctl eval` in a thirtieth of its time: erl_call asks a node without starting an Erlang VM of its own.

It is a part of Erlang (erl_interface), and takes the cookie from the same file. Measured on a busy machine: 0.02 s, where rabbitmqctl took
1.6 s and 0.8 s of a processor. Whatever it does not answer, rabbitmqctl is asked.
"""

from __future__ import annotations

import math

from harness.broker.protocol import ControlResult

_OK = "{ok, "

_SCRIPT = """
node=${RABBITMQ_NODENAME:-rabbit}
case $node in *@*) ;; *) node=$node@$(hostname -s) ;; esac
answer=$(printf '%s\\n' "$2" | timeout "$1" erl_call -sname "$node" -e 2>/dev/null)
case $answer in "{ok, "*) answer=${answer#?????}; printf %s "${answer%?}"; exit ;; esac
exec rabbitmqctl -q -t "$1" eval "$2"
"""


def arguments(node: str) -> tuple[str, ...]:
    """Return the arguments for a node by its name; the expression goes to the standard input."""
    return ("-name" if "." in node.partition("@")[2] else "-sname", node, "-e")


def answer(done: ControlResult) -> ControlResult | None:
    """Return what `rabbitmqctl eval` would have answered; None where that has to be asked."""
    text = done.stdout.strip()
    if done.exit_code or not text.startswith(_OK):
        return None
    return ControlResult(0, text.removeprefix(_OK).removesuffix("}"), "")


def in_container(expression: str, timeout_s: float) -> list[str]:
    """Return a command that evaluates in a container with RabbitMQ, and asks rabbitmqctl where erl_call does not answer."""
    return ["sh", "-c", _SCRIPT, "sh", str(math.ceil(timeout_s)), expression]
