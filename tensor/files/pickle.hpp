#pragma once

// Internal: a reader of Python's pickles that runs nothing.

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gradus::files {

/// A value of a pickle. What does not fit into it lies in the Unpickler, at the index `integer`.
struct PickleValue {
  enum class Kind : std::uint8_t { none, boolean, integer, real, text, sequence, dict, global, object };
  Kind kind = Kind::none;
  union {
    std::int64_t integer = 0;
    double real;
  };

  static PickleValue of(Kind kind, std::int64_t integer) {
    PickleValue out;
    out.kind = kind;
    out.integer = integer;
    return out;
  }
};

/// Rebuilds the values of a pickle of protocols 2 to 5: numbers, texts, lists, tuples and dicts by itself,
/// what Python would call a function for by its `reduce`, which knows what it may be. There is no way to
/// anything else.
class Unpickler {
 public:
  using Value = PickleValue;
  using Kind = PickleValue::Kind;
  using Sequence = std::vector<Value>;
  using Pairs = std::vector<std::pair<Value, Value>>;

  /// `pickle` must outlive it; errors call it `name`.
  Unpickler(std::string_view pickle, const std::string& name) : pickle_(pickle), name_(name) {}
  Unpickler(const Unpickler&) = delete;
  Unpickler& operator=(const Unpickler&) = delete;
  virtual ~Unpickler() = default;

  /// The value of the whole pickle. Throws DataError, saying what was found.
  Value run();

  std::string_view text(Value value) const { return texts_[index(value)]; }
  const Sequence& sequence(Value value) const { return sequences_[index(value)]; }
  const Pairs& dict(Value value) const { return dicts_[index(value)]; }

 protected:
  const std::string& name() const { return name_; }
  Value new_dict();

 private:
  /// Whether the pickle may name this function or class, such as "collections.OrderedDict".
  virtual bool knows(std::string_view global) const = 0;
  /// What calling a function gives, and what stands for a persistent id.
  virtual Value reduce(std::string_view global, Value arguments) = 0;
  virtual Value persistent(Value id) = 0;

  static std::size_t index(Value value) { return static_cast<std::size_t>(value.integer); }
  [[noreturn]] void damaged() const;
  std::uint64_t number(std::size_t bytes);
  std::string_view take(std::uint64_t bytes);
  std::string_view line();
  Value pop();
  Sequence pop_to_mark();
  Value top_of(Kind kind) const;
  void push_integer(std::int64_t integer) { stack_.push_back(Value::of(Kind::integer, integer)); }
  void push_text(std::string_view text);
  void push_sequence(Sequence sequence);
  void push_real(std::string_view bytes);
  void push_long(std::string_view bytes);
  void push_global(std::string_view module, std::string_view function);
  void set_items(const Sequence& keys_and_values);
  void remember(std::uint64_t key);
  void recall(std::uint64_t key);
  void build();
  /// Does what an opcode says; false at the last one.
  bool step(unsigned char opcode);
  /// Opcodes that push a value of their own, by groups; false for others.
  bool push_number(unsigned char opcode);
  bool push_string(unsigned char opcode);
  bool push_container(unsigned char opcode);

  std::string_view pickle_;
  std::string name_;
  std::size_t at_ = 0;
  Sequence stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint64_t, Value> memo_;
  std::vector<std::string_view> texts_;
  std::deque<std::string> globals_;  // what texts_ of globals lie in
  std::deque<Sequence> sequences_;   // lists and tuples
  std::deque<Pairs> dicts_;
};

}  // namespace gradus::files
