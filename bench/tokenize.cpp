#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>

#include "bench/timing.hpp"
#include "tensor/support/error.hpp"
#include "tensor/support/parallel.hpp"
#include "tensor/support/read_file.hpp"
#include "tensor/support/write_file.hpp"
#include "text/bpe.hpp"
#include "text/unicode_classes.hpp"

// What bench/rivals/tokenize.mjs and scripts/tokenizers ask of our tokenizer. A tokenizer is a
// tokenizer.json, or a folder with GPT-2's two files.

using namespace gradus;

namespace {

constexpr std::string_view llama3_pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Bpe load(const std::string& path) {
  const std::filesystem::path at(path);
  if (!std::filesystem::is_directory(at)) return Bpe::load_json(at);
  return Bpe::load_gpt2(at / "encoder.json", at / "vocab.bpe");
}

/// The class of each code point, as a byte.
void classes(char** of) {
  std::string out(0x110000, '\0');
  const std::vector<CharacterClass>& known = character_classes();
  for (std::size_t i = 0; i < known.size(); ++i) out[i] = static_cast<char>(known[i]);
  write_file(of[0], out);
}

void train(char** of) {
  const std::string text = read_file(of[0]);
  const std::string cut(std::string_view(of[2]) == "llama3" ? llama3_pattern : gpt2_pattern);
  Bpe::train(text, {.size = std::atoll(of[1]), .patterns = {cut}, .special = {"<|endoftext|>"}})
      .save_json(of[3]);
}

void train_speed(char** of) {
  const std::string text = read_file(of[0]);
  set_threads(std::atoi(of[2]));
  const BpeTraining training{.size = std::atoll(of[1])};
  std::printf("%.3f\n", bench::median_seconds([&] { Bpe::train(text, training); }, std::atof(of[3])));
}

void convert(char** of) {
  load(of[0]).save_json(of[1]);
}

/// The ids as 32-bit numbers; `with_special`, of special tokens too where the text spells them, as Hugging
/// Face's library does.
void write_ids(char** of, bool with_special) {
  const Bpe bpe = load(of[0]);
  const std::string text = read_file(of[1]);
  const std::vector<std::int32_t> out = with_special ? bpe.encode_with_special(text) : bpe.encode(text);
  if (bpe.decode(out) != text) fail<DataError>("{}: decoding gives another text", of[1]);
  write_file(of[2], {reinterpret_cast<const char*>(out.data()), out.size() * sizeof(std::int32_t)});
}

void ids(char** of) {
  write_ids(of, false);
}
void ids_with_special(char** of) {
  write_ids(of, true);
}

/// MB/s of encoding, and MB per second of processor time, which other programs on the machine disturb less.
void speed(char** of) {
  const Bpe bpe = load(of[0]);
  const std::string text = read_file(of[1]);
  set_threads(std::atoi(of[2]));
  const auto megabytes = static_cast<double>(text.size()) / 1e6;
  const std::clock_t start = std::clock();
  int calls = 0;
  const auto encode_once = [&] {
    ++calls;
    bpe.encode(text);
  };
  const double seconds = bench::median_seconds(encode_once, std::atof(of[3]));
  const double processor = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / calls;
  std::printf("%.2f (%.2f)\n", megabytes / seconds, megabytes / processor);
}

struct Mode {
  int arguments;
  void (*run)(char** arguments);
  const char* usage;
};

}  // namespace

int main(int argc, char** argv) try {
  const std::map<std::string, Mode> modes{{"classes", {1, classes, "OUT"}},
                                          {"train", {4, train, "TEXT SIZE gpt2|llama3 OUT.json"}},
                                          {"train-speed", {4, train_speed, "TEXT SIZE THREADS SECONDS"}},
                                          {"convert", {2, convert, "TOKENIZER OUT.json"}},
                                          {"ids", {3, ids, "TOKENIZER TEXT OUT"}},
                                          {"ids-with-special", {3, ids_with_special, "TOKENIZER TEXT OUT"}},
                                          {"speed", {4, speed, "TOKENIZER TEXT THREADS SECONDS"}}};
  const auto mode = argc > 1 ? modes.find(argv[1]) : modes.end();
  if (mode == modes.end() || argc != mode->second.arguments + 2) {
    for (const auto& [name, of] : modes)
      std::fprintf(stderr, "bench_tokenize %s %s\n", name.c_str(), of.usage);
    return 2;
  }
  mode->second.run(argv + 2);
} catch (const Error& error) {
  std::fprintf(stderr, "bench_tokenize: %s\n", error.what());
  return 1;
}
