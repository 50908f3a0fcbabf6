"use strict";
{
  const form = document.querySelector("form.filter");
  const rows = [...document.querySelectorAll("#all-clusters tbody tr")];
  const told = document.querySelector("#shown");
  const show = () => {
    const wanted = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = form.elements.state.value;
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = wanted.every((word) => text.includes(word)) && (!state || row.dataset.state.split(" ").includes(state));
      row.hidden = !fits;
      count += fits;
    }
    told.textContent = count === rows.length ? "" : `${count} of ${rows.length} clusters`;
  };
  if (form) {
    form.hidden = false;
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
  }
}
