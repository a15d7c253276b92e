"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const connection = byId("connection");
  const address = document.body.dataset.stream;

  // Ages, beside the moments that the server wrote. The two clocks may differ: the server's counts.
  let ahead = 0;
  const age = (seconds) => {
    const far = Math.abs(seconds);
    const [number, unit] = far < 60 ? [far, "s"] : far < 3600 ? [far / 60, "min"] : far < 172800 ? [far / 3600, "h"] : [far / 86400, "d"];
    return seconds < 0 ? `in ${Math.floor(number)} ${unit}` : `${Math.floor(number)} ${unit} ago`;
  };
  const ages = () => {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time[data-age]")) {
      if (!time.title) time.title = time.textContent;
      const text = age((now - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  const parse = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content.firstElementChild;
  };
  // What has the focus keeps it.
  const replace = (old, fresh) => {
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    old.replaceWith(fresh);
    if (focused !== null) {
      for (const link of fresh.querySelectorAll("a")) if (link.getAttribute("href") === focused) link.focus();
    }
  };
  const apply = (message) => {
    const rows = byId("rows");
    const fresh = new Map();
    for (const [id, html] of Object.entries(message.changed)) {
      const element = parse(html);
      if (!element) continue;
      const old = byId(id);
      if (old) replace(old, element);
      else fresh.set(id, element);
    }
    if (rows && message.rows) {
      const wanted = new Set(message.rows);
      for (const row of [...rows.children]) if (!wanted.has(row.id)) row.remove();
      let place = rows.firstElementChild;
      for (const id of message.rows) {
        const row = fresh.get(id) || byId(id);
        if (!row) continue;
        if (fresh.has(id)) row.classList.add("fresh");
        if (row === place) place = place.nextElementSibling;
        else rows.insertBefore(row, place);
      }
    }
    ages();
  };

  let lostAt = null;
  const live = () => {
    lostAt = null;
    connection.className = "live";
    connection.textContent = "Live";
  };
  const lost = () => {
    if (lostAt !== null) return;
    lostAt = new Date();
    connection.className = "lost";
    connection.textContent = `Connection lost at ${lostAt.toLocaleTimeString()}: what you see is of then. Trying again.`;
  };
  // The server says something every 15 s. A connection that is silent for longer is dead, whatever the browser thinks.
  let heard = 0;
  let stream = null;
  const connect = () => {
    if (stream) stream.close();
    heard = Date.now();
    stream = new EventSource(address);
    const said = (event) => {
      heard = Date.now();
      const message = JSON.parse(event.data);
      if (message.now) ahead = Date.parse(message.now) - Date.now();
      live();
      if (message.gone) connection.textContent = "It is gone";
      if (message.changed) apply(message);
    };
    stream.addEventListener("page", said);
    stream.addEventListener("alive", said);
    stream.addEventListener("error", lost);
  };
  if (address) {
    connection.textContent = "Connecting";
    connect();
    setInterval(() => {
      const isSilent = Date.now() - heard > 40000;
      if (isSilent) lost();
      if (isSilent || stream.readyState === EventSource.CLOSED) connect();
    }, 5000);
  }
  setInterval(ages, 1000);
  ages();

  // The token of writes: after # in the address that was printed, which no server is sent.
  const fragment = new URLSearchParams(location.hash.slice(1));
  if (fragment.has("token")) {
    sessionStorage.setItem("token", fragment.get("token"));
    history.replaceState(null, "", location.pathname + location.search);
  }
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.dataset.action) return;
    event.preventDefault();
    const token = form.elements.token;
    if (token && token.value) sessionStorage.setItem("token", token.value);
    const told = form.querySelector("output");
    told.textContent = "Asked; waiting for the answer";
    try {
      const answer = await fetch("/api/v1/actions", {
        method: "POST",
        headers: { "content-type": "application/json", "x-slipway-token": sessionStorage.getItem("token") || "" },
        body: form.dataset.action,
      });
      const body = await answer.json();
      told.textContent = body.message;
    } catch {
      told.textContent = "No answer: the connection is lost. It may have been done.";
    }
  });
  for (const form of document.querySelectorAll("form[data-action]")) {
    if (form.elements.token && sessionStorage.getItem("token")) form.elements.token.value = sessionStorage.getItem("token");
  }
})();
