// PyTorch's files: a zip file of a pickle, which rebuilds tensors, and of their storages.

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

#include "tensor/files/formats.hpp"
#include "tensor/files/pickle.hpp"

namespace gradus::files {

namespace {

using Value = PickleValue;
using Kind = PickleValue::Kind;

struct TorchName {
  NumberType type;
  const char* storage;  // the class of its storage; null where only an untyped one will do
  const char* dtype;
};
constexpr std::array<TorchName, all_number_types.size()> torch_names{
    {{NumberType::f64, "DoubleStorage", "float64"},
     {NumberType::f32, "FloatStorage", "float32"},
     {NumberType::f16, "HalfStorage", "float16"},
     {NumberType::bf16, "BFloat16Storage", "bfloat16"},
     {NumberType::i64, "LongStorage", "int64"},
     {NumberType::i32, "IntStorage", "int32"},
     {NumberType::i16, "ShortStorage", "int16"},
     {NumberType::i8, "CharStorage", "int8"},
     {NumberType::u64, nullptr, "uint64"},
     {NumberType::u32, nullptr, "uint32"},
     {NumberType::u16, nullptr, "uint16"},
     {NumberType::u8, "ByteStorage", "uint8"},
     {NumberType::boolean, "BoolStorage", "bool"}}};

constexpr std::string_view rebuild_v2 = "torch._utils._rebuild_tensor_v2",
                           rebuild_v3 = "torch._utils._rebuild_tensor_v3",
                           rebuild_parameter = "torch._utils._rebuild_parameter",
                           rebuild_with_state = "torch._utils._rebuild_parameter_with_state",
                           untyped_storage = "torch.storage.UntypedStorage",
                           ordered_dict = "collections.OrderedDict", counter = "collections.Counter",
                           size_class = "torch.Size", device = "torch.device";

/// The row of "torch.FloatStorage" or of "torch.float32"; null when there is none.
const TorchName* find_name(std::string_view global, const char* TorchName::*which) {
  constexpr std::string_view module = "torch.";
  if (!global.starts_with(module)) return nullptr;
  global.remove_prefix(module.size());
  const auto found = std::find_if(torch_names.begin(), torch_names.end(), [&](const TorchName& row) {
    return row.*which != nullptr && global == row.*which;
  });
  return found == torch_names.end() ? nullptr : &*found;
}

struct Storage {
  SharedBytes bytes;
  const TorchName* type;  // null for an untyped one
};

class TorchUnpickler : public Unpickler {
 public:
  /// `prefix` is the folder of the entries, "archive/".
  TorchUnpickler(std::string_view pickle, const ZipReader& zip, std::string prefix, bool swapped)
      : Unpickler(pickle, zip.name()), zip_(zip), prefix_(std::move(prefix)), swapped_(swapped) {}

  /// Objects are tensors, from 0 on, and storages, from -1 down.
  static bool is_tensor(Value value) { return value.kind == Kind::object && value.integer >= 0; }
  /// The array of a tensor; errors call it by its path.
  StoredArray tensor(Value value, const std::string& path) const {
    const Place& place = tensors_[static_cast<std::size_t>(value.integer)];
    return {place.bytes, place.begin, place.layout, name() + ": the tensor " + path};
  }

 private:
  bool knows(std::string_view global) const override {
    constexpr std::array known{rebuild_v2,      rebuild_v3,   rebuild_parameter, rebuild_with_state,
                               untyped_storage, ordered_dict, counter,           size_class,
                               device};
    return std::find(known.begin(), known.end(), global) != known.end() ||
           find_name(global, &TorchName::storage) != nullptr ||
           find_name(global, &TorchName::dtype) != nullptr;
  }

  [[noreturn]] void wrong(std::string_view what) const {
    fail<DataError>("{}: its pickle gives {} other arguments than PyTorch does; the file is damaged", name(),
                    what);
  }

  Value reduce(std::string_view global, Value arguments) override {
    const Sequence& given = sequence(arguments);
    if (global == ordered_dict) {
      if (!given.empty()) wrong(global);  // pairs come afterwards
      return new_dict();
    }
    if ((global == size_class || global == counter || global == device) && !given.empty()) return given[0];
    if ((global == rebuild_parameter || global == rebuild_with_state) && !given.empty() &&
        is_tensor(given[0]))
      return given[0];
    if (global == rebuild_v2 && given.size() >= 4) return rebuilt(given, nullptr, 6);
    if (global == rebuild_v3 && given.size() >= 7 && given[6].kind == Kind::global)
      return rebuilt(given, find_name(text(given[6]), &TorchName::dtype), 7);
    wrong(global);
  }

  Value persistent(Value id) override {
    // ("storage", its class, its key, the device, the number of elements)
    const Sequence* const parts = id.kind == Kind::sequence ? &sequence(id) : nullptr;
    if (parts == nullptr || parts->size() < 5 || (*parts)[0].kind != Kind::text ||
        text((*parts)[0]) != "storage" || (*parts)[1].kind != Kind::global || (*parts)[2].kind != Kind::text)
      wrong("a storage");
    const std::string_view type = text((*parts)[1]);
    const TorchName* const row = find_name(type, &TorchName::storage);
    if (row == nullptr && type != untyped_storage) wrong("a storage");
    const std::string key(text((*parts)[2]));
    const std::string entry = prefix_ + "data/" + key;
    const auto [known, is_new] = storage_of_.emplace(key, storages_.size());
    if (!is_new) {  // several tensors may share it, each with its type
      const std::size_t before = known->second;
      if (storages_[before].type != row) wrong("a storage");
      return Value::of(Kind::object, -1 - static_cast<std::int64_t>(before));
    }
    if (!zip_.entries().contains(entry))
      fail<DataError>("{}: the storage {} of a tensor is not there; the file is damaged", name(), key);
    if (zip_.entries().at(entry).deflated)
      fail<DataError>("{}: the entry {} is compressed, as PyTorch does not write it", name(), entry);
    storages_.push_back({zip_.open(entry, false), row});
    return Value::of(Kind::object, -static_cast<std::int64_t>(storages_.size()));
  }

  std::vector<std::int64_t> integers(Value value) const {
    if (value.kind != Kind::sequence) wrong("a tensor");
    std::vector<std::int64_t> out;
    for (const Value part : sequence(value)) {
      if (part.kind != Kind::integer || part.integer < 0) wrong("a tensor");
      out.push_back(part.integer);
    }
    return out;
  }

  /// (storage, offset, size, stride, ...), with a dtype where the storage has none. At `metadata` may stand a
  /// dict that changes what the numbers mean.
  Value rebuilt(const Sequence& given, const TorchName* type, std::size_t metadata) {
    if (given[0].kind != Kind::object || given[0].integer >= 0 || given[1].kind != Kind::integer ||
        given[1].integer < 0)
      wrong("a tensor");
    const Storage& storage = storages_[static_cast<std::size_t>(-1 - given[0].integer)];
    if (type == nullptr) type = storage.type;
    if (type == nullptr) wrong("a tensor");
    const std::vector<std::int64_t> dims = integers(given[2]), strides = integers(given[3]);
    const std::string what = storage.bytes->name();
    if (given.size() > metadata && (given[metadata].kind != Kind::dict || !dict(given[metadata]).empty()))
      fail<DataError>(
          "{}: a tensor stands for the negatives or conjugates of its numbers; save a copy "
          "(x.resolve_neg().resolve_conj())",
          what);
    Layout layout{.type = type->type, .swapped = swapped_ && bytes_of(type->type) > 1};
    try {
      layout.shape = Shape(dims);
    } catch (const ShapeError& error) {
      fail<DataError>("{}: a tensor has {}", what, error.what());
    }
    if (strides.size() != dims.size()) wrong("a tensor");
    const std::uint64_t there = storage.bytes->size() / bytes_of(type->type);
    const auto offset = static_cast<std::uint64_t>(given[1].integer);
    std::uint64_t last = offset;  // the element that lies farthest
    for (std::size_t i = 0; i < dims.size(); ++i) {
      const auto steps = static_cast<std::uint64_t>(std::max<std::int64_t>(dims[i] - 1, 0)),
                 stride = static_cast<std::uint64_t>(strides[i]);
      last += steps > 0 && stride > there / steps ? there : steps * stride;
    }
    if (layout.shape.size() > 0 && last >= there)
      fail<DataError>("{}: a tensor of shape {} reaches past the end of its storage of {} elements", what,
                      layout.shape, there);
    if (static_cast<std::uint64_t>(layout.shape.size()) > there)
      fail<DataError>("{}: a tensor of shape {} repeats the {} elements of its storage; save a copy (clone)",
                      what, layout.shape, there);
    std::int64_t row_major = 1;
    for (std::size_t i = dims.size(); i-- > 0; row_major *= dims[i]) {
      if (dims[i] > 1 && strides[i] != row_major) layout.strides = strides;
    }
    for (std::size_t i = 0; i < layout.strides.size(); ++i) {
      if (dims[i] == 1) layout.strides[i] = 0;  // never gone along, so it may be any number
    }
    if (layout.shape.size() == 0) layout.strides.clear();
    const std::uint64_t begin = layout.shape.size() == 0 ? 0 : offset * bytes_of(type->type);
    tensors_.push_back({storage.bytes, begin, std::move(layout)});
    return Value::of(Kind::object, static_cast<std::int64_t>(tensors_.size() - 1));
  }

  const ZipReader& zip_;
  std::string prefix_;
  bool swapped_;
  std::vector<Storage> storages_;
  std::unordered_map<std::string, std::size_t> storage_of_;  // by key
  struct Place {
    SharedBytes bytes;
    std::uint64_t begin;
    Layout layout;
  };
  std::vector<Place> tensors_;
};

/// Puts the tensors of dicts, lists and tuples under names joined by dots.
class Flattening {
 public:
  Flattening(const TorchUnpickler& from, const std::string& file, std::uint64_t pickle_bytes)
      : from_(from), file_(file), budget_(pickle_bytes * 64 + 65536) {}

  StoredArrays run(Value value) {
    visit(std::string(), value, 0);
    return std::move(out_);
  }

 private:
  void visit(const std::string& path, Value value, int depth) {
    constexpr int deepest = 64;
    // A container may stand in several places, so a small pickle can unfold into any number of names.
    const std::uint64_t cost = path.size() + 16;
    if (depth > deepest || cost > budget_)
      fail<DataError>("{}: its containers are nested too deeply, or contain themselves", file_);
    budget_ -= cost;
    switch (value.kind) {
      case Kind::none:
      case Kind::global:
        return;
      case Kind::boolean:
        return note(path, value.integer != 0 ? "true" : "false");
      case Kind::integer:
        return note(path, fmt::format("{}", value.integer));
      case Kind::real:
        return note(path, fmt::format("{}", value.real));
      case Kind::text: {
        const std::string_view text = from_.text(value);
        if (text.size() <= budget_) note(path, std::string(text));
        budget_ -= std::min<std::uint64_t>(budget_, text.size());
        return;
      }
      case Kind::sequence: {
        const auto& parts = from_.sequence(value);
        for (std::size_t i = 0; i < parts.size(); ++i)
          visit(joined(path, std::to_string(i)), parts[i], depth + 1);
        return;
      }
      case Kind::dict:
        for (const auto& [key, part] : from_.dict(value))
          visit(joined(path, name_of_key(key)), part, depth + 1);
        return;
      case Kind::object:
        break;
    }
    if (!TorchUnpickler::is_tensor(value)) fail<DataError>("{}: it holds a storage without a tensor", file_);
    const std::string name = path.empty() ? "tensor" : path;
    if (!out_.arrays.emplace(name, from_.tensor(value, name)).second)
      fail<DataError>("{}: it holds two tensors of the name {}", file_, name);
  }

  void note(const std::string& path, std::string text) {
    constexpr std::size_t most = 100'000;  // each takes many times what it took in the pickle
    if (out_.metadata.size() >= most)
      fail<DataError>("{}: it holds more than {} numbers and texts beside its tensors; save them elsewhere",
                      file_, most);
    out_.metadata[path] = std::move(text);
  }
  static std::string joined(const std::string& path, const std::string& part) {
    return path.empty() ? part : path + "." + part;
  }
  std::string name_of_key(Value key) const {
    if (key.kind == Kind::integer) return std::to_string(key.integer);
    if (key.kind != Kind::text)
      fail<DataError>("{}: a dict has a key that is neither a text nor an integer", file_);
    return std::string(from_.text(key));
  }

  const TorchUnpickler& from_;
  const std::string& file_;
  std::uint64_t budget_;
  StoredArrays out_;
};

}  // namespace

StoredArrays read_torch(const ZipReader& zip) {
  const std::string& file = zip.name();
  std::string entry;
  for (const auto& [name, about] : zip.entries()) {
    if (name.ends_with("constants.pkl"))
      fail<DataError>("{}: a TorchScript program, which is not read; save model.state_dict() instead", file);
    if (name != "data.pkl" && !name.ends_with("/data.pkl")) continue;
    if (about.deflated || about.size > most_header_bytes)
      fail<DataError>("{}: its {} is compressed or of {} bytes, as PyTorch does not write it", file, name,
                      about.size);
    if (entry.empty() || name.size() < entry.size()) entry = name;
  }
  const std::string prefix = entry.substr(0, entry.size() - std::string_view("data.pkl").size());
  const auto all_of = [&](const std::string& name) {
    const SharedBytes bytes = zip.open(name, false);
    return bytes->bytes(0, bytes->size());
  };
  const std::string order = prefix + "byteorder";
  const bool has_order = zip.entries().contains(order) && !zip.entries().at(order).deflated;
  const std::string pickle = all_of(entry);
  TorchUnpickler unpickler(pickle, zip, prefix, has_order && all_of(order) == "big");
  const Value value = unpickler.run();
  return Flattening(unpickler, file, pickle.size()).run(value);
}

namespace {

/// Writes a pickle of protocol 2, as torch.save does, of an OrderedDict of tensors.
class TorchPickle {
 public:
  TorchPickle() {
    out_ = "\x80\x02";
    global("collections", "OrderedDict");
    out_ += ")R(";
  }

  void add(const std::string& name, const StoredArray& array, std::size_t key) {
    const TorchName& type = torch_names[static_cast<std::size_t>(array.type())];
    const bool typed = type.storage != nullptr;
    text(name);
    global("torch._utils", typed ? "_rebuild_tensor_v2" : "_rebuild_tensor_v3");
    out_ += "((";
    text("storage");
    global(typed ? "torch" : "torch.storage", typed ? type.storage : "UntypedStorage");
    text(std::to_string(key));
    text("cpu");
    integer(array.shape().size() * (typed ? 1 : static_cast<std::int64_t>(bytes_of(type.type))));
    out_ += "tQ";
    integer(0);  // the offset
    sizes(array.shape());
    strides(array.shape());
    out_ += '\x89';  // requires no gradient
    global("collections", "OrderedDict");
    out_ += ")R";  // hooks: none
    if (!typed) global("torch", type.dtype);
    out_ += "tR";
  }

  std::string finished() { return out_ + "u."; }

 private:
  void global(const char* module, const char* name) {
    out_ += 'c';
    out_ += module;
    out_ += '\n';
    out_ += name;
    out_ += '\n';
  }
  void text(const std::string& text) {
    out_ += 'X';
    append_little_endian(out_, text.size(), 4);
    out_ += text;
  }
  void integer(std::int64_t value) {  // not negative
    if (value <= std::numeric_limits<std::int32_t>::max()) {
      out_ += 'J';
      append_little_endian(out_, static_cast<std::uint64_t>(value), 4);
    } else {
      out_ += "\x8A\x08";
      append_little_endian(out_, static_cast<std::uint64_t>(value), 8);
    }
  }
  void sizes(const Shape& shape) {
    out_ += '(';
    for (int i = 0; i < shape.rank(); ++i) integer(shape[i]);
    out_ += 't';
  }
  void strides(const Shape& shape) {
    out_ += '(';
    for (int i = 0; i < shape.rank(); ++i) {
      std::int64_t stride = 1;
      for (int j = i + 1; j < shape.rank(); ++j) stride *= std::max<std::int64_t>(shape[j], 1);
      integer(stride);
    }
    out_ += 't';
  }

  std::string out_;
};

}  // namespace

void write_torch(const std::filesystem::path& file, const StoredArrays& content) {
  const std::string folder = "archive/";
  TorchPickle pickle;
  std::size_t key = 0;
  for (const auto& [name, array] : content.arrays) pickle.add(name, array, key++);
  FileSink sink(file);
  ZipWriter zip(sink);
  constexpr ZipWriter::EntryOptions aligned{.aligned = true};
  zip.add(folder + "data.pkl", pickle.finished(), aligned);
  zip.add(folder + "byteorder", "little", aligned);
  key = 0;
  for (const auto& [name, array] : content.arrays) {
    const std::uint64_t size = array.bytes();
    zip.add(
        folder + "data/" + std::to_string(key++), size,
        [&stored = array](TakeBytes take) { stored.read(take); }, aligned);
  }
  zip.add(folder + "version", "3\n", aligned);
  zip.finish();
  sink.commit();
}

}  // namespace gradus::files
