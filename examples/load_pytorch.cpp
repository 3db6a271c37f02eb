// Weights that were trained in PyTorch, loaded into a model of the same parts, which then computes the same.
// The file is what `torch.save(model.state_dict(), "lstm_lm.pt")` wrote; a safetensors file does as well.
// Usage: load_pytorch [FOLDER], the folder of lstm_lm.pt and of the tokens and logits to compare with

#include <gradus.hpp>

#include <unistd.h>

#include <cstdio>

using namespace gradus;

// In PyTorch: embed = nn.Embedding(11, 4), lstm = nn.LSTM(4, 6, num_layers=2), head = nn.Linear(6, 11).
struct LstmLm {
  nn::Embedding embed;
  nn::Lstm lstm;
  nn::Linear head;

  explicit LstmLm(Rng& rng) : embed(rng, 11, 4), lstm(rng, 4, 6, {.layers = 2}), head(rng, 6, 11) {}

  Variable operator()(const Indices& tokens) const {  // (time, batch) to (time, batch, 11)
    return head(lstm(embed(tokens), lstm.start(tokens.dim(1))).first);
  }
  static void members(auto& self, auto&& visit) {  // the names of PyTorch's attributes
    visit("embed", self.embed);
    visit("lstm", self.lstm);
    visit("head", self.head);
  }
};

struct Decoder {
  nn::Linear output;
  static void members(auto& self, auto&& visit) { visit("output", self.output); }
};

int main(int argc, char** argv) {
  const std::filesystem::path folder = argc > 1 ? argv[1] : "tests/fixtures/weights";
  const Indices tokens = load_npy_indices(folder / "lstm_lm_tokens.npy");
  const Tensor expected = load_npy(folder / "lstm_lm_logits.npy");
  Rng rng(1);

  // load begins
  LstmLm model(rng);
  const nn::LoadReport report = nn::load_weights(folder / "lstm_lm.pt", model);
  std::printf("%s\n", report.text().c_str());
  // load ends
  const double error = max(abs(model(tokens).value() - expected)).item();
  std::printf("logits off by less than 1e-5: %s\n", error < 1e-5 ? "yes" : "no");

  // A part of it alone, under another name there than here.
  Decoder decoder{nn::Linear(rng, 6, 11)};
  nn::load_weights(folder / "lstm_lm.pt", decoder,
                   {.prefix = "head.", .rename = [](const std::string& name) { return "output." + name; }});
  const bool same_part = identical(decoder.output.weight.value(), model.head.weight.value());

  // What the file of any format holds, without a model.
  const StoredArrays content = open_arrays(folder / "lstm_lm.safetensors");
  for (const auto& [name, array] : content.arrays)
    std::printf("%s %s of %s\n", name.c_str(), array.shape().text().c_str(), name_of(array.type()));

  // And back: torch.load(file, weights_only=True) reads it.
  const std::filesystem::path back =
      std::filesystem::temp_directory_path() / ("gradus_load_pytorch_" + std::to_string(getpid()) + ".pt");
  nn::save_weights(back, model);
  const bool same_back = identical(open_arrays(back).at("head.bias").tensor(), model.head.bias.value());
  std::filesystem::remove(back);
  return error < 1e-5 && same_part && same_back ? 0 : 1;
}
