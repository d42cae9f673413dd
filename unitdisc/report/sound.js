// Playing pieces of the clips. Samples are one byte each (mu-law, 16 kHz).

const soundRate = 16000;
const expanded = Float32Array.from({ length: 256 }, (_, byte) => {
  const level = Math.max(-1, Math.min(1, (byte - 128) / 127));
  return (Math.sign(level) * (256 ** Math.abs(level) - 1)) / 255;
});
const buffers = new Map();
let audio = null;
let playing = null;

function soundOf(clip) {
  if (!buffers.has(clip)) {
    if (buffers.size > 20) buffers.delete(buffers.keys().next().value);
    const samples = bytes(clip.sound).map(Number);
    const buffer = audio.createBuffer(1, samples.length, soundRate);
    buffer.copyToChannel(Float32Array.from(samples, (byte) => expanded[byte]), 0);
    buffers.set(clip, buffer);
  }
  return buffers.get(clip);
}

function stop() {
  if (!playing) return;
  const ended = playing;
  playing = null;
  ended.source.onended = null;
  ended.source.stop();
  ended.pressed.setAttribute("aria-pressed", "false");
  ended.done();
}

/** Play [begin, end) of a clip; the pressed button stops it again. `tick` is told where it is, `done` the end. */
async function play(clip, begin, end, pressed, { tick = () => {}, done = () => {} } = {}) {
  const isRunning = playing?.pressed === pressed;
  stop();
  if (isRunning) return;
  audio ??= new AudioContext();
  await audio.resume();
  stop(); // what another press began in the meantime
  const source = audio.createBufferSource();
  source.buffer = soundOf(clip);
  source.connect(audio.destination);
  const started = audio.currentTime;
  playing = { source, pressed, done };
  pressed.setAttribute("aria-pressed", "true");
  source.onended = stop;
  source.start(started, begin, end - begin);
  const mine = playing;
  const watch = () => {
    if (playing !== mine) return;
    tick(begin + audio.currentTime - started);
    requestAnimationFrame(watch);
  };
  requestAnimationFrame(watch);
}
