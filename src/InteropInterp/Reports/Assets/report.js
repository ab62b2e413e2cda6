// Attention patterns: the weights are the opacities of the image's pixels. Pointing at a row shades the tokens it attends to.
for (const group of document.querySelectorAll(".interp-patterns:not([data-ready])")) {
  group.dataset.ready = "";
  const tokens = [...group.querySelectorAll(".interp-tokens span")];
  const reading = group.querySelector(".interp-reading");
  const rest = reading.textContent;
  const read = (image) => {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = tokens.length;
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, tokens.length, tokens.length);
    return context.getImageData(0, 0, tokens.length, tokens.length).data;
  };
  const clear = () => {
    reading.textContent = rest;
    for (const token of tokens) {
      token.style.background = "";
      token.classList.remove("interp-query");
    }
  };
  for (const image of group.querySelectorAll(".interp-pattern img")) {
    const head = image.closest("figure").querySelector("figcaption").textContent;
    let weights;
    image.addEventListener("pointerleave", clear);
    image.addEventListener("pointermove", (event) => {
      weights ??= read(image);
      const place = (at, size) => Math.min(tokens.length - 1, Math.max(0, Math.floor((at / size) * tokens.length)));
      const query = place(event.offsetY, image.clientHeight);
      const key = place(event.offsetX, image.clientWidth);
      const weight = (position) => weights[4 * (query * tokens.length + position) + 3] / 255;
      clear();
      tokens.forEach((token, position) => {
        token.style.background = `rgb(47 111 222 / ${weight(position)})`;
      });
      tokens[query].classList.add("interp-query");
      reading.textContent = `${head} — from ${query} “${tokens[query].textContent}” to ${key} “${tokens[key].textContent}”: ${weight(key).toFixed(3)}`;
    });
  }
}
