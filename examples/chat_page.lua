-- The page of chat.lua. It needs nothing but what every browser has: EventSource for what is said, fetch to say something.
return [[
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, interactive-widget=resizes-content">
<title>Chat</title>
<style>
  :root { color-scheme: light dark; --line: light-dark(#ddd, #3a3a3a); --soft: light-dark(#667, #99a);
          --mine: light-dark(#e3f0ff, #1e3350); --other: light-dark(#f2f2f4, #2a2a2e); --accent: light-dark(#0a58ca, #7ab4ff); }
  * { box-sizing: border-box; }
  body { margin: 0; height: 100dvh; display: flex; flex-direction: column; font: 16px/1.45 system-ui, sans-serif;
         background: light-dark(#fff, #17171a); color: light-dark(#1a1a1e, #e8e8ec); }
  header, form { padding: .6rem max(.8rem, calc(50vw - 22rem)); display: flex; gap: .5rem; align-items: center; }
  header { border-bottom: 1px solid var(--line); }
  header b { flex: 1; }
  form { border-top: 1px solid var(--line); padding-bottom: max(.6rem, env(safe-area-inset-bottom)); }
  ol { flex: 1; overflow-y: auto; margin: 0; padding: .8rem max(.8rem, calc(50vw - 22rem)); list-style: none; }
  li { width: fit-content; max-width: 85%; margin: 0 0 .5rem; padding: .35rem .7rem; border-radius: .9rem; background: var(--other);
       overflow-wrap: anywhere; }
  li.mine { margin-left: auto; background: var(--mine); }
  li small { display: block; color: var(--soft); font-size: .75rem; }
  input { font: inherit; color: inherit; background: transparent; border: 1px solid var(--line); border-radius: .6rem;
          padding: .45rem .7rem; min-width: 0; }
  header input { width: 8.5rem; }
  form input { flex: 1; }
  button { font: inherit; border: 0; border-radius: .6rem; padding: .5rem 1rem; background: var(--accent);
           color: light-dark(#fff, #10131a); }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
  #state { color: var(--soft); font-size: .85rem; }
</style>
<header>
  <b>Chat</b> <span id="state" role="status"></span>
  <input id="room" aria-label="Room" placeholder="room" maxlength="30" autocapitalize="off">
  <input id="name" aria-label="Your name" placeholder="your name" maxlength="20" autocomplete="nickname">
</header>
<ol id="messages" aria-live="polite"></ol>
<form id="form">
  <input id="text" aria-label="Message" placeholder="Say something" maxlength="500" autocomplete="off">
  <button>Send</button>
</form>
<script>
  const $ = id => document.getElementById(id);
  let source;
  $("name").value = localStorage.getItem("name") || "guest" + Math.floor(Math.random() * 1000);
  $("name").onchange = () => localStorage.setItem("name", $("name").value);
  $("room").onchange = () => location.hash = $("room").value || "lobby";

  function show(message) {
    const list = $("messages"), item = document.createElement("li"), head = document.createElement("small");
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
    head.textContent = message.name + " · " + new Date(message.time * 1000).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});
    item.append(head, message.text); // as text: nobody can send HTML
    item.classList.toggle("mine", message.name === $("name").value);
    list.append(item);
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  function enter() {
    const room = decodeURIComponent(location.hash.slice(1)) || "lobby";
    $("room").value = room;
    document.title = room + " · Chat";
    if (source) source.close();
    source = new EventSource("/events/" + encodeURIComponent(room));
    source.onopen = () => { $("messages").replaceChildren(); $("state").textContent = ""; };
    source.onerror = () => $("state").textContent = "connecting …";
    source.onmessage = event => show(JSON.parse(event.data));
  }

  $("form").onsubmit = async event => {
    event.preventDefault();
    const text = $("text").value;
    if (!text.trim()) return;
    const sent = await fetch("/say/" + encodeURIComponent($("room").value), {method: "POST",
      body: JSON.stringify({name: $("name").value, text})}).catch(() => null);
    if (sent && sent.ok) $("text").value = "";
    else $("state").textContent = sent && sent.status === 429 ? "not so fast" : "not sent";
  };
  onhashchange = enter;
  enter();
</script>
]]
