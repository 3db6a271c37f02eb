#include "tensor/files/stored_array.hpp"
#include "tensor/ops.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/weight_files.hpp"

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::read_bytes;
using gradus::test::weight_file;

namespace {

/// The bytes of a small .pt file, with one text replaced by another of the same length.
std::string with(const std::string& from, const std::string& to) {
  std::string bytes = read_bytes(weight_file("lstm_lm.pt"));
  REQUIRE(from.size() == to.size());
  const std::size_t at = bytes.find(from);
  REQUIRE(at != bytes.npos);
  return bytes.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("tensors of PyTorch's are read whatever their strides, and however they share storage",
          "[files][pt]") {
  const StoredArrays content = open_arrays(weight_file("types.pt"));
  const Tensor whole = content.at("whole").tensor();
  CHECK(whole.shape() == Shape{2, 3, 4});
  CHECK(whole.at(23) == 23);
  CHECK(identical(content.at("transposed").tensor(), permute(whole, {2, 0, 1})));
  CHECK(content.at("steps").tensor().text() == "[[[1, 3], [9, 11]], [[13, 15], [21, 23]]]");
  CHECK(content.at("row").tensor().text() == "[20, 21, 22, 23]");
  CHECK(content.at("scalar").tensor().item() == 2.5);
  CHECK(content.at("empty").shape() == Shape{0, 3});
  CHECK(content.at("parameter").tensor().text() == "[1, 1]");
  CHECK(content.at("nested.0.a").tensor().item() == 0);
  CHECK(content.at("nested.1.0").tensor().item() == 1);
  CHECK(content.at("nested.1.1.7").tensor().item() == 2);
}

TEST_CASE("a checkpoint's tensors stand under dotted names, its numbers and texts in the metadata",
          "[files][pt]") {
  const StoredArrays content = open_arrays(weight_file("conv_net.pt"));
  CHECK(content.at("model.first.weight").shape() == Shape{4, 2, 3});
  CHECK(content.at("model.norm.num_batches_tracked").type() == NumberType::i64);
  CHECK(content.at("model.norm.num_batches_tracked").tensor().item() == 3);
  CHECK(content.at("optimizer.state.0.exp_avg").shape() == Shape{4, 2, 3});
  CHECK(content.metadata.at("epoch") == "3");
  CHECK(content.metadata.at("loss") == "0.25");
  CHECK(content.metadata.at("history.1.0") == "a");
  CHECK(content.metadata.at("history.1.2") == "true");
  CHECK(content.metadata.at("optimizer.param_groups.0.lr") == "0.01");
}

TEST_CASE("a .pt file that would run something is refused with what it would run", "[files][pt]") {
  CHECK_THROWS_WITH(open_arrays(weight_file("command.pt")),
                    Contains("command.pt: unpickled by Python, this file would use posix.system"));
  CHECK_THROWS_WITH(open_arrays(weight_file("whole_model.pt")),
                    Contains("would use torch.nn.modules.linear.Linear") && Contains("state_dict"));
  CHECK_THROWS_WITH(open_arrays(weight_file("complex.pt")), Contains("would use torch.ComplexFloatStorage"));
  CHECK_THROWS_WITH(open_arrays(weight_file("legacy.pt")), Contains("before 1.6"));
  CHECK_THROWS_WITH(open_arrays(weight_file("expanded.pt")),
                    Contains("repeats the 1 elements of its storage"));
}

TEST_CASE("a .pt file that is damaged is refused with its name", "[files][pt]") {
  const auto refused = [](const std::string& bytes, const char* why) {
    INFO(why);
    CHECK_THROWS_WITH(parse_arrays(bytes, "x.pt"), Contains("x.pt: ") && Contains(why));
    CHECK_THROWS_AS(parse_arrays(bytes, "x.pt"), DataError);
  };
  refused(with("_rebuild_tensor_v2", "_rebuild_tensor_v9"), "would use torch._utils._rebuild_tensor_v9");
  refused(with("storage", "stomach"), "gives a storage other arguments");
  refused(with("FloatStorage\n", "FloatStoragE\n"), "torch.FloatStoragE");
  refused(with("K\x0BK\x04\x86", "K\x0BK\x09\x86"), "reaches past the end of its storage of 44 elements");
  refused(with("K\x0BK\x04\x86", "K\x0BN\x04\x86"), "");
  // A list that contains itself, and one that unfolds into 2^40 names.
  const auto pickle = [&](const std::string& text) {
    std::string bytes = read_bytes(weight_file("lstm_lm.pt"));
    const std::size_t at = bytes.find("\x80\x02");
    REQUIRE(at != bytes.npos);
    return bytes.replace(at, text.size(), text);
  };
  refused(pickle(std::string("\x80\x02]q\0h\0a.", 9)), "contain themselves");
  std::string doubling = "\x80\x02]";
  for (int i = 0; i < 40; ++i) doubling += std::string("q\0", 2) + std::string("]h\0ah\0a", 7);
  refused(pickle(doubling + "."), "contain themselves");
  refused(pickle("\x80\x02i"), "has the opcode 0x69");
  refused(pickle("\x80\x02t"), "damaged at byte 3");
  refused(pickle("\x80\x02X\xFF\xFF\xFF\x7F"), "damaged at byte");
}
