"""Ctrl-C in a long call, through every door, in a process of its own."""

import pytest

from conftest import environment, run

LONG = """
import os, signal, sys, threading, time
import numpy as np
import interopinterp as ii
client = ii.connect(sys.argv[1]) if sys.argv[1:] else ii.local()
model = client.HookedTransformer(dict(n_layers=4, d_model=128, n_ctx=2000, d_head=32, d_vocab=100, act_fn="gelu_new", seed=1))
tokens = np.arange(20)[None] % 100
model(tokens)

def interrupted(what):
    pressed, done = [], threading.Event()
    def press():
        # Once more should Python have been where exceptions are lost (a destructor), as a person would.
        while not done.wait(2 if pressed else 0.4):
            pressed.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=press)
    thread.start()
    try:
        what()
    except KeyboardInterrupt:
        waited = time.monotonic() - pressed[-1]
        done.set()
        thread.join()
        return waited
    raise AssertionError("it ended by itself")

waits = [
    interrupted(lambda: model.generate(tokens, max_new_tokens=1900, do_sample=False, stop_at_eos=False, verbose=False)),
    interrupted(lambda: model.generate(tokens, max_new_tokens=1900, do_sample=False, stop_at_eos=False)),
    interrupted(lambda: ii.patching.get_act_patch_attn_head_pattern_dest_src_pos(
        model, np.arange(60)[None], model.run_with_cache(np.arange(60)[None] * 7 % 100)[1], ii.metrics.log_prob(3))),
    interrupted(lambda: ii.patching.get_act_patch_attn_head_pattern_dest_src_pos(
        model, np.arange(60)[None], model.run_with_cache(np.arange(60)[None] * 7 % 100)[1], lambda logits: float(logits[0, -1, 3])))]
assert np.isfinite(np.asarray(model(tokens))).all(), "the model works as before"
print("door", client.door, *(f"{wait:.2f}" for wait in waits))
"""


def test_ctrl_c_raises_within_a_step_and_leaves_the_model_usable_in_process(door, capsys):
    check(run(LONG, door, timeout=120), capsys)


@pytest.mark.parametrize("scheme", ["grpc-tcp", "grpc-unix"])
def test_ctrl_c_raises_within_a_step_and_leaves_the_model_usable_over_grpc(server, scheme, capsys):
    check(run(LONG, environment(), server.addresses[scheme], timeout=120), capsys)


def check(out, capsys):
    with capsys.disabled():
        print(f"\nCtrl-C to KeyboardInterrupt, seconds: {out.strip()}")
    # A step takes milliseconds; the machine may be busy.
    assert max(map(float, out.split()[2:])) < 5
