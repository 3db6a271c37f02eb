#include "tensor/files/pickle.hpp"

#include <bit>

#include "tensor/files/stored_bytes.hpp"
#include "tensor/support/error.hpp"

namespace gradus::files {

namespace {

// Python's module pickletools describes them.
/// The opcodes that are read, those of protocols 2 to 5 that PyTorch writes for tensors and containers.
namespace op {
enum : unsigned char {
  none = 'N',
  new_true = 0x88,
  new_false = 0x89,
  int4 = 'J',
  int1 = 'K',
  int2 = 'M',
  long1 = 0x8A,
  long4 = 0x8B,
  real8 = 'G',
  text4 = 'X',
  string4 = 'T',
  bytes4 = 'B',
  text1 = 0x8C,
  string1 = 'U',
  bytes1 = 'C',
  text8 = 0x8D,
  bytes8 = 0x8E,
  global = 'c',
  stack_global = 0x93,
  empty_dict = '}',
  empty_list = ']',
  empty_tuple = ')',
  list = 'l',
  tuple = 't',
  dict = 'd',
  tuple1 = 0x85,
  tuple2 = 0x86,
  tuple3 = 0x87,
  stop = '.',
  protocol = 0x80,
  frame = 0x95,
  mark = '(',
  discard = '0',
  put1 = 'q',
  put4 = 'r',
  memoize = 0x94,
  get1 = 'h',
  get4 = 'j',
  append = 'a',
  appends = 'e',
  set_item = 's',
  set_items = 'u',
  build = 'b',
  persistent_id = 'Q',
  reduce = 'R',
};
}  // namespace op

}  // namespace

Unpickler::Value Unpickler::run() {
  while (step(static_cast<unsigned char>(take(1)[0]))) {
  }
  return pop();
}

void Unpickler::damaged() const {
  fail<DataError>("{}: its pickle is damaged at byte {}", name_, at_);
}

std::string_view Unpickler::take(std::uint64_t bytes) {
  if (bytes > pickle_.size() - at_) damaged();
  const std::string_view out = pickle_.substr(at_, bytes);
  at_ += bytes;
  return out;
}

std::uint64_t Unpickler::number(std::size_t bytes) {
  return little_endian(take(bytes), 0, bytes);
}

std::string_view Unpickler::line() {
  const std::size_t end = pickle_.find('\n', at_);
  if (end == pickle_.npos) damaged();
  const std::string_view out = take(end - at_);
  ++at_;
  return out;
}

Unpickler::Value Unpickler::pop() {
  if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) damaged();
  const Value out = stack_.back();
  stack_.pop_back();
  return out;
}

Unpickler::Sequence Unpickler::pop_to_mark() {
  if (marks_.empty()) damaged();
  const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  Sequence out(begin, stack_.end());
  stack_.erase(begin, stack_.end());
  marks_.pop_back();
  return out;
}

Unpickler::Value Unpickler::top_of(Kind kind) const {
  if (stack_.empty() || stack_.back().kind != kind) damaged();
  return stack_.back();
}

void Unpickler::push_text(std::string_view text) {
  stack_.push_back(Value::of(Kind::text, static_cast<std::int64_t>(texts_.size())));
  texts_.push_back(text);
}

void Unpickler::push_sequence(Sequence sequence) {
  stack_.push_back(Value::of(Kind::sequence, static_cast<std::int64_t>(sequences_.size())));
  sequences_.push_back(std::move(sequence));
}

Unpickler::Value Unpickler::new_dict() {
  dicts_.emplace_back();
  return Value::of(Kind::dict, static_cast<std::int64_t>(dicts_.size() - 1));
}

void Unpickler::push_real(std::string_view bytes) {
  std::uint64_t bits = 0;  // the highest byte first
  for (const char byte : bytes) bits = bits << 8 | static_cast<unsigned char>(byte);
  Value out;
  out.kind = Kind::real;
  out.real = std::bit_cast<double>(bits);
  stack_.push_back(out);
}

void Unpickler::push_long(std::string_view bytes) {
  if (bytes.size() > 8) {  // a seed, say: no size or place is as large
    stack_.emplace_back();
    return;
  }
  std::uint64_t bits = little_endian(bytes, 0, bytes.size());
  if (!bytes.empty() && bytes.size() < 8 && (bytes.back() & 0x80) != 0)
    bits |= ~std::uint64_t{0} << (8 * bytes.size());
  push_integer(static_cast<std::int64_t>(bits));
}

void Unpickler::push_global(std::string_view module, std::string_view function) {
  std::string global(module);
  global += '.';
  global += function;
  if (!knows(global)) {
    if (global.size() > 200) global = global.substr(0, 200) + "...";
    fail<DataError>(
        "{}: unpickled by Python, this file would use {}; only tensors, numbers, texts, dicts, lists and "
        "tuples are "
        "read. In PyTorch, save a state dict: torch.save(model.state_dict(), file)",
        name_, global);
  }
  stack_.push_back(Value::of(Kind::global, static_cast<std::int64_t>(texts_.size())));
  texts_.push_back(globals_.emplace_back(std::move(global)));
}

void Unpickler::set_items(const Sequence& keys_and_values) {
  Pairs& pairs = dicts_[index(top_of(Kind::dict))];
  if (keys_and_values.size() % 2 != 0) damaged();
  for (std::size_t i = 0; i < keys_and_values.size(); i += 2)
    pairs.emplace_back(keys_and_values[i], keys_and_values[i + 1]);
}

void Unpickler::remember(std::uint64_t key) {
  if (stack_.empty()) damaged();
  memo_[key] = stack_.back();
}

void Unpickler::recall(std::uint64_t key) {
  const auto found = memo_.find(key);
  if (found == memo_.end()) damaged();
  stack_.push_back(found->second);
}

/// Attributes: those of a dict (an OrderedDict's _metadata) are left out; nothing else has any.
void Unpickler::build() {
  pop();
  top_of(Kind::dict);
}

bool Unpickler::push_number(unsigned char opcode) {
  switch (opcode) {
    case op::none:
      stack_.emplace_back();
      return true;
    case op::new_true:
    case op::new_false:
      stack_.push_back(Value::of(Kind::boolean, opcode == op::new_true));
      return true;
    case op::int4:
      push_integer(static_cast<std::int32_t>(number(4)));
      return true;
    case op::int1:
      push_integer(static_cast<std::int64_t>(number(1)));
      return true;
    case op::int2:
      push_integer(static_cast<std::int64_t>(number(2)));
      return true;
    case op::long1:
      push_long(take(number(1)));
      return true;
    case op::long4:
      push_long(take(number(4)));
      return true;
    case op::real8:
      push_real(take(8));
      return true;
    default:
      return false;
  }
}

bool Unpickler::push_string(unsigned char opcode) {
  switch (opcode) {
    case op::text4:
    case op::string4:
    case op::bytes4:
      push_text(take(number(4)));
      return true;
    case op::text1:
    case op::string1:
    case op::bytes1:
      push_text(take(number(1)));
      return true;
    case op::text8:
    case op::bytes8:
      push_text(take(number(8)));
      return true;
    case op::global: {
      const std::string_view module = line();
      push_global(module, line());
      return true;
    }
    case op::stack_global: {
      const std::string_view function = text(top_of(Kind::text));
      pop();
      const std::string_view module = text(top_of(Kind::text));
      pop();
      push_global(module, function);
      return true;
    }
    default:
      return false;
  }
}

bool Unpickler::push_container(unsigned char opcode) {
  switch (opcode) {
    case op::empty_dict:
      stack_.push_back(new_dict());
      return true;
    case op::empty_list:
    case op::empty_tuple:
      push_sequence({});
      return true;
    case op::list:
    case op::tuple:
      push_sequence(pop_to_mark());
      return true;
    case op::dict: {
      const Sequence items = pop_to_mark();
      stack_.push_back(new_dict());
      set_items(items);
      return true;
    }
    case op::tuple1:
    case op::tuple2:
    case op::tuple3: {
      Sequence items(opcode - op::tuple1 + 1U);
      for (std::size_t i = items.size(); i-- > 0;) items[i] = pop();
      push_sequence(std::move(items));
      return true;
    }
    default:
      return false;
  }
}

bool Unpickler::step(unsigned char opcode) {
  if (push_number(opcode) || push_string(opcode) || push_container(opcode)) return true;
  switch (opcode) {
    case op::stop:
      return false;
    case op::protocol:
      take(1);
      return true;
    case op::frame:
      take(8);
      return true;
    case op::mark:
      marks_.push_back(stack_.size());
      return true;
    case op::discard:
      pop();
      return true;
    case op::put1:
      remember(number(1));
      return true;
    case op::put4:
      remember(number(4));
      return true;
    case op::memoize:
      remember(memo_.size());
      return true;
    case op::get1:
      recall(number(1));
      return true;
    case op::get4:
      recall(number(4));
      return true;
    case op::append:
    case op::appends: {
      const Sequence items = opcode == op::append ? Sequence{pop()} : pop_to_mark();
      Sequence& list = sequences_[index(top_of(Kind::sequence))];
      list.insert(list.end(), items.begin(), items.end());
      return true;
    }
    case op::set_item: {
      const Value value = pop(), key = pop();
      set_items({key, value});
      return true;
    }
    case op::set_items:
      set_items(pop_to_mark());
      return true;
    case op::build:
      build();
      return true;
    case op::persistent_id: {
      const Value id = pop();
      stack_.push_back(persistent(id));
      return true;
    }
    case op::reduce: {
      const Value arguments = pop(), function = pop();
      if (function.kind != Kind::global || arguments.kind != Kind::sequence) damaged();
      stack_.push_back(reduce(text(function), arguments));
      return true;
    }
    default:
      --at_;
      fail<DataError>(
          "{}: its pickle has the opcode {:#04x} at byte {}, which is not read: tensors need none "
          "such",
          name_, opcode, at_);
  }
}

}  // namespace gradus::files
