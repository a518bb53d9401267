"""Why a broker did not boot, out of logs that real ones wrote when they were kept from it."""

from __future__ import annotations

import pytest

from harness.broker.boot_failure import LONGEST, clashed, reason

UNKNOWN_KEY = """\
2026-11-24 11:04:01.168679+00:00 [error] <0.132.0> You've tried to set no_such.key, but there is no setting with that name.
2026-11-24 11:04:01.173206+00:00 [error] <0.132.0>   Did you mean one of these?
2026-11-24 11:04:01.205193+00:00 [error] <0.132.0>     log.dir
2026-11-24 11:04:01.205258+00:00 [error] <0.132.0> Error preparing configuration in phase transform_datatypes:
2026-11-24 11:04:01.205269+00:00 [error] <0.132.0>   - Conf file attempted to set unknown variable: no_such.key

BOOT FAILED
===========
Error during startup: {error,failed_to_prepare_configuration}

2026-11-24 11:04:02.207968+00:00 [error] <0.132.0>     supervisor: {local,rabbit_prelaunch_sup}
2026-11-24 11:04:02.207968+00:00 [error] <0.132.0>     errorContext: start_error
2026-11-24 11:04:02.207968+00:00 [error] <0.132.0>     reason: failed_to_prepare_configuration
"""
UNKNOWN_KEY_3_8 = "11:06:14.868 [error] You've tried to set no_such.key, but there is no setting with that name.\n"
WRONG_VALUE = """\
2026-11-24 11:05:08.094705+00:00 [error] <0.153.0> Error preparing configuration in phase transform_datatypes:
2026-11-24 11:05:08.121033+00:00 [error] <0.153.0>   - Error transforming datatype for: vm_memory_high_watermark.relative
2026-11-24 11:05:08.121113+00:00 [error] <0.153.0>   - "lots" cannot be converted to a(n) float
2026-11-24 11:05:08.123716+00:00 [error] <0.153.0>\x20
2026-11-24 11:05:08.123716+00:00 [error] <0.153.0> BOOT FAILED
"""
AMQP_PORT = """\
2026-11-24 11:05:46.310 [error] <0.644.0> Failed to start Ranch listener {acceptor,{127,0,0,1},31087} in ranch_tcp:listen(\
#{num_acceptors => 10,socket_opts => [{cacerts,'...'},{ip,{127,0,0,1}},{port,31087},inet]}) for reason eaddrinuse (address already in use)
2026-11-24 11:05:46.311 [error] <0.643.0>     reason: {listen_error,{acceptor,{127,0,0,1},31087},eaddrinuse}
"""
DIST_PORT = """\
2026-11-24 11:05:52.001 [error] <0.153.0> ERROR: could not bind to distribution port 26487 on host localhost. It could be in use \
by another process or cannot be bound to (e.g. due to a security policy)
"""
DIST_PORT_3_8 = "ERROR: distribution port 24374 in use on host localhost (by non-Erlang process?)\n"
CRASH = """\
2026-11-24 11:06:55.001 [error] <0.249.0> Failed to create Ra data directory at '/d/quorum', file system operation error: enotdir
2026-11-24 11:06:55.002 [error] <0.249.0> CRASH REPORT Process <0.249.0> with 0 neighbours exited with reason: \
{error,"Ra could not create its data directory. See the log for details."} in ra_system_sup:init/1 line 43
"""
TERM_OVER_LINES = """\
2026-11-30 20:46:43.448979+00:00 [error] <0.280.0> Mnesia(rabbit@n1): ** FATAL ** Schema update error {{badmatch,
2026-11-30 20:46:43.448979+00:00 [error] <0.280.0>                        {error,
2026-11-30 20:46:43.448979+00:00 [error] <0.280.0>                         {"Cannot create Mnesia dir",
2026-11-30 20:46:43.448979+00:00 [error] <0.280.0>                          "/Mnesia.rabbit@n1",
2026-11-30 20:46:43.448979+00:00 [error] <0.280.0>                          eacces}}},
2026-11-30 20:46:43.448979+00:00 [error] <0.280.0>                       {cstruct, rabbit_user_permission,
2026-11-30 20:46:43.448979+00:00 [error] <0.280.0>                         set}}
"""


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (UNKNOWN_KEY, "You've tried to set no_such.key, but there is no setting with that name."),
        (UNKNOWN_KEY_3_8, "You've tried to set no_such.key, but there is no setting with that name."),
        (
            WRONG_VALUE,
            'Error transforming datatype for: vm_memory_high_watermark.relative; "lots" cannot be converted to a(n) float',
        ),
        (
            AMQP_PORT,
            "Failed to start Ranch listener {acceptor,{127,0,0,1},31087} in ranch_tcp:listen(…) for reason eaddrinuse "
            "(address already in use)",
        ),
        (DIST_PORT_3_8, "ERROR: distribution port 24374 in use on host localhost (by non-Erlang process?)"),
        (CRASH, "Failed to create Ra data directory at '/d/quorum', file system operation error: enotdir"),
        (
            TERM_OVER_LINES,
            'Mnesia(rabbit@n1): ** FATAL ** Schema update error {{badmatch, {error, {"Cannot create Mnesia dir", "/Mnesia.rabbit@n1", '
            "eacces}}}, {cstruct, rabbit_user_permission, set}}",
        ),
        ("/usr/lib/erlang/bin/erl: exec: erlexec: not found\n", "/usr/lib/erlang/bin/erl: exec: erlexec: not found"),
        ("\n====\n", "its log is empty"),
        ("", "its log is empty"),
    ],
)
def test_the_telling_line_is_found(log: str, said: str) -> None:
    assert reason(log) == said


def test_a_reason_is_one_sentence_that_can_be_read() -> None:
    told = reason("[error] could not " + "x" * 10_000 + "\ny")
    assert len(told) == LONGEST
    assert "\n" not in told


@pytest.mark.parametrize("log", [AMQP_PORT, DIST_PORT, DIST_PORT_3_8])
def test_a_port_that_was_taken_is_known(log: str) -> None:
    assert clashed(log)


@pytest.mark.parametrize("log", ["", UNKNOWN_KEY, WRONG_VALUE, CRASH])
def test_another_failure_is_no_clash(log: str) -> None:
    assert not clashed(log)
