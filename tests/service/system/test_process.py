import subprocess
import sys


def test_images_have_a_thread_each_and_get_their_turn_soon() -> None:
    program = (
        "import cv2, sys; from fer_service.system.process import set_up_process; set_up_process();"
        "print(cv2.getNumThreads(), sys.getswitchinterval())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    threads, seconds = done.stdout.split()
    assert threads == "1"
    assert float(seconds) < 0.001
