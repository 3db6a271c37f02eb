#include <cstddef>
#include <cstdint>

#include "models/ngram/arpa.hpp"

// Any bytes, read as an ARPA file: an error of ours or a model whose log-probabilities are numbers.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gradus;
  try {
    const models::ArpaModel read =
        models::from_arpa({reinterpret_cast<const char*>(data), size}, "the fuzzer's file");
    const std::int32_t words = read.model.vocab_size();
    models::NgramModel::State state = read.model.start();
    for (std::int32_t i = 0; i < 20; ++i) {
      const models::NgramModel::Scored scored = read.model.score(state, i * 7 % words);
      if (scored.log_prob != scored.log_prob) __builtin_trap();
      state = scored.next;
    }
    const std::string again = models::to_arpa(read.model, read.vocabulary);
    models::from_arpa(again, "what we wrote");
  } catch (const DataError&) {
  }
  return 0;
}
