import subprocess
import sys

PROGRAM = """
import threading, time
from fer_service.system.exit import end_after
threading.Thread(target=time.sleep, args=({work},)).start()
end_after({seconds})
"""


def run(*, work: float, seconds: float) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(work=work, seconds=seconds)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)


def test_a_process_whose_threads_work_on_ends_with_one_line() -> None:
    ended = run(work=3600, seconds=0.1)
    assert ended.returncode == 0
    assert ended.stderr.splitlines() == ["ending the process: threads still work 0.1 s after the signal to stop"]


def test_a_process_that_ends_by_itself_is_left_alone() -> None:
    ended = run(work=0, seconds=3600)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_log_that_nobody_reads_does_not_keep_the_process() -> None:
    # The main thread fills the pipe and is stuck in a write.
    program = PROGRAM.format(work=3600, seconds=0.1) + "import sys\nsys.stderr.write('x' * 10**7)\n"
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as stuck:
        assert stuck.wait(timeout=30) == 0
