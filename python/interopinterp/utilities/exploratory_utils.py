"""How well a model answers a prompt. Source: TransformerLens 3.9, utilities.test_prompt, whose lines these are."""

from __future__ import annotations

from typing import Any

import numpy as np

from interopinterp import _arrays as arrays


def test_prompt(
    prompt: str, answer: str | list[str], model: Any, prepend_space_to_answer: bool = True, print_details: bool = True,
    prepend_bos: bool | None = None, top_k: int = 10,
) -> None:
    """Prints rank, logit and probability of each token of the answer after the prompt, and the likeliest tokens there.

    Of several answers only their first tokens are looked at.
    """
    answers = [answer] if isinstance(answer, str) else list(answer)
    if prepend_space_to_answer:
        answers = [a if a.startswith(" ") else " " + a for a in answers]
    prompt_tokens = arrays.to_numpy(model.to_tokens(prompt, prepend_bos=prepend_bos))
    answer_tokens = [arrays.to_numpy(model.to_tokens(a, prepend_bos=False))[0] for a in answers]
    strings = [model.to_str_tokens(a, prepend_bos=False) for a in answers]
    several = len(answers) > 1
    if print_details:
        print("Tokenized prompt:", model.to_str_tokens(prompt, prepend_bos=prepend_bos))
        print(f"Tokenized answer{'s' if several else ''}:", strings if several else strings[0])
    # One pass: of one answer all tokens but the last follow the prompt; several share the bare prompt.
    follow = answer_tokens[0][:0 if several else -1]
    logits = arrays.to_numpy(model(np.concatenate([prompt_tokens, follow[None]], 1)))[0, prompt_tokens.shape[1] - 1:]

    ranks = []
    for index, scores in enumerate(logits):
        probabilities = np.exp(scores.astype(np.float64) - scores.max())
        probabilities /= probabilities.sum()
        order = np.argsort(-probabilities, kind="stable")
        lines = []
        for tokens, text in zip(answer_tokens, strings):
            token = int(tokens[index])
            rank = int(np.flatnonzero(order == token)[0])
            ranks.append((text[index], rank))
            lines.append(f"Rank: {rank: <8} Logit: {scores[token]:5.2f} Prob: {probabilities[token]:6.2%} Token: |{text[index]}|")
        if print_details:
            print(f"Performance on answer token{'s' if several else ''}:", *lines, sep="\n")
            for place, token in enumerate(order[:top_k]):
                print(f"Top {place}th token. Logit: {scores[token]:5.2f} Prob: {probabilities[token]:6.2%} "
                      f"Token: |{model.to_string([int(token)])}|")
    print("Ranks of the answer tokens:", [ranks] if several else ranks)


# pytest would take an imported test_prompt for a test.
test_prompt.__test__ = False
