#include "tensor/ops/einsum_plan.hpp"

#include <array>
#include <cctype>
#include <limits>
#include <optional>
#include <string>

namespace gradus::detail {

namespace {

constexpr int first_ellipsis = 128;
constexpr std::size_t labels_count = 128 + Shape::max_rank;

std::string name_of_label(int label) {
  return label < first_ellipsis ? fmt::format("'{}'", static_cast<char>(label))
                                : fmt::format("axis {} of '...'", first_ellipsis - label - 1);
}

template <class... Args>
[[noreturn]] void fail_at(std::string_view subscripts, std::size_t place, fmt::format_string<Args...> format,
                          Args&&... args) {
  fail<ArgumentError>("einsum: \"{}\", position {}: {}", subscripts, place,
                      fmt::format(format, std::forward<Args>(args)...));
}

/// The subscripts of one operand or of the result, as written.
struct Term {
  Labels labels;         // the letters
  std::size_t dots = 0;  // how many of them come before `...`
  bool has_dots = false;
  std::size_t begin = 0;  // the position in the text
};

/// The subscripts, parsed.
struct Subscripts {
  std::vector<Term> terms;
  std::optional<Term> out;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Subscripts parse() {
    Subscripts all;
    all.terms.push_back(term());
    while (take(',')) all.terms.push_back(term());
    if (at_ < text_.size() && text_[at_] == '-') {
      if (at_ + 1 == text_.size() || text_[at_ + 1] != '>') fail_at(text_, at_, "'-' without '>'");
      at_ += 2;
      all.out = term();
    }
    if (at_ < text_.size()) {
      fail_at(text_, at_, "'{}' is not one of: a letter, ',', '->', '...'{}", text_[at_],
              text_[at_] == ',' ? "; there is only one result" : "");
    }
    return all;
  }

 private:
  Term term() {
    Term out;
    skip_spaces();
    out.begin = at_;
    for (; at_ < text_.size(); skip_spaces()) {
      const char c = text_[at_];
      if (c == '.') {
        if (text_.substr(at_, 3) != "...") fail_at(text_, at_, "'.' where only '...' makes sense");
        if (out.has_dots) fail_at(text_, at_, "a second '...' in one operand");
        out.has_dots = true;
        out.dots = out.labels.size();
        at_ += 3;
      } else if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
        out.labels.push_back(c);
        ++at_;
      } else {
        break;
      }
    }
    return out;
  }
  void skip_spaces() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(char c) {
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// The labels of a term whose `...` stands for `dots` axes.
Labels with_dots(const Term& term, int dots) {
  if (!term.has_dots) return term.labels;
  const auto middle = term.labels.begin() + static_cast<std::ptrdiff_t>(term.dots);
  Labels out(term.labels.begin(), middle);
  for (int i = dots; i-- > 0;) out.push_back(first_ellipsis + i);
  out.insert(out.end(), middle, term.labels.end());
  return out;
}

/// What is known about each label.
struct Lengths {
  std::array<std::int64_t, labels_count> length{};
  std::array<int, labels_count> operand{};  // the first operand that has it
  std::array<int, labels_count> uses{};

  std::int64_t size_of(const Labels& labels) const {
    std::int64_t size = 1;
    for (const int label : labels) size *= length[static_cast<std::size_t>(label)];
    return size;
  }
};

/// The labels of each operand; enters their lengths in `lengths`.
std::vector<Labels> label_operands(std::string_view text, const Subscripts& parsed,
                                   std::span<const Shape> shapes, Lengths& lengths) {
  std::vector<Labels> out;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const Term& term = parsed.terms[i];
    const int letters = static_cast<int>(term.labels.size()), rank = shapes[i].rank();
    if (term.has_dots ? letters > rank : letters != rank) {
      fail<ShapeError>(
          "einsum: \"{}\", position {}: {} letter{} for operand {} of shape {}, which has {} ax{}{}", text,
          term.begin, letters, letters == 1 ? "" : "s", i, shapes[i], rank, rank == 1 ? "is" : "es",
          !term.has_dots && letters < rank ? "; '...' stands for the others" : "");
    }
    out.push_back(with_dots(term, rank - letters));
    for (int axis = 0; axis < rank; ++axis) {
      const int label = out.back()[static_cast<std::size_t>(axis)];
      const auto at = static_cast<std::size_t>(label);
      const std::int64_t length = shapes[i][axis];
      const bool met = lengths.uses[at]++ > 0, stretches = label >= first_ellipsis;
      if (!met || (stretches && lengths.length[at] == 1)) {
        lengths.length[at] = length;
        lengths.operand[at] = static_cast<int>(i);
      } else if (lengths.length[at] != length && !(stretches && length == 1)) {
        fail<ShapeError>(
            "einsum: \"{}\": {} is {} in operand {} of shape {} but {} in operand {} of shape {}", text,
            name_of_label(label), lengths.length[at], lengths.operand[at],
            shapes[static_cast<std::size_t>(lengths.operand[at])], length, i, shapes[i]);
      }
    }
  }
  return out;
}

/// The result's labels: as written, or without `->` those of `...`, then in alphabetical order the letters
/// that occur once.
Labels label_result(std::string_view text, const Subscripts& parsed, const Lengths& lengths) {
  int dots = 0;
  while (dots < Shape::max_rank && lengths.uses[first_ellipsis + static_cast<std::size_t>(dots)] > 0) ++dots;
  if (!parsed.out) {
    Labels out;
    for (int i = dots; i-- > 0;) out.push_back(first_ellipsis + i);
    for (int label = 0; label < first_ellipsis; ++label) {
      if (lengths.uses[static_cast<std::size_t>(label)] == 1) out.push_back(label);
    }
    return out;
  }
  Labels seen;
  for (const int label : parsed.out->labels) {
    const std::size_t place = text.find(static_cast<char>(label), parsed.out->begin);
    if (lengths.uses[static_cast<std::size_t>(label)] == 0)
      fail_at(text, place, "{} of the result occurs in no operand", name_of_label(label));
    if (contains(seen, label)) {
      fail_at(text, text.find(static_cast<char>(label), place + 1), "{} occurs twice in the result",
              name_of_label(label));
    }
    seen.push_back(label);
  }
  return with_dots(*parsed.out, dots);
}

/// Plans the contraction of the operands in pairs.
class Planner {
 public:
  Planner(std::vector<Labels> operands, std::span<const Shape> shapes, Labels out, const Lengths& lengths)
      : out_(std::move(out)), lengths_(lengths) {
    for (std::size_t i = 0; i < operands.size(); ++i)
      live_.push_back({static_cast<int>(i), without_stretched(operands[i], shapes[i])});
    next_ = static_cast<int>(operands.size());
    for (std::size_t i = 0; i < operands.size(); ++i) simplify(i, operands[i]);
  }

  std::vector<EinsumStep> plan() {
    while (live_.size() > 1) {
      const auto [a, b] = cheapest_pair();
      contract(a, b);
    }
    if (steps_.empty() || live_.front().labels != out_)
      steps_.push_back({live_.front().value, -1, live_.front().labels, {}, out_});
    return std::move(steps_);
  }

 private:
  struct Live {
    int value;
    Labels labels;
  };

  /// True when the label occurs in the result or in an operand other than these two.
  bool needed(int label, std::size_t a, std::size_t b) const {
    if (contains(out_, label)) return true;
    for (std::size_t i = 0; i < live_.size(); ++i) {
      if (i != a && i != b && contains(live_[i].labels, label)) return true;
    }
    return false;
  }

  /// The labels without axes that stretch from length 1: nothing is computed along them.
  Labels without_stretched(const Labels& labels, const Shape& shape) const {
    Labels out;
    for (std::size_t axis = 0; axis < labels.size(); ++axis) {
      const int label = labels[axis];
      if (label < first_ellipsis ||
          shape[static_cast<int>(axis)] == lengths_.length[static_cast<std::size_t>(label)])
        out.push_back(label);
    }
    return out;
  }

  /// Takes an operand's diagonals and sums over the labels that nothing else has.
  void simplify(std::size_t i, const Labels& given) {
    Live& operand = live_[i];
    Labels kept;
    for (const int label : operand.labels) {
      if (!contains(kept, label) && needed(label, i, i)) kept.push_back(label);
    }
    if (kept == given) return;
    if (live_.size() == 1) kept = out_;  // in the order of the result
    steps_.push_back({operand.value, -1, given, {}, kept});
    operand = {next_++, kept};
  }

  Labels result_of(std::size_t a, std::size_t b) const {
    if (live_.size() == 2) return out_;
    Labels out;
    for (const std::size_t i : {a, b}) {
      for (const int label : live_[i].labels) {
        if (!contains(out, label) && needed(label, a, b)) out.push_back(label);
      }
    }
    return out;
  }

  /// The pair whose product adds the fewest elements; among equals, the one with the least work.
  std::pair<std::size_t, std::size_t> cheapest_pair() const {
    constexpr std::int64_t beyond = std::numeric_limits<std::int64_t>::max();
    std::pair<std::size_t, std::size_t> best{0, 1};
    std::pair<std::int64_t, std::int64_t> least{beyond, beyond};
    for (std::size_t a = 0; a < live_.size(); ++a) {
      for (std::size_t b = a + 1; b < live_.size(); ++b) {
        const Labels &left = live_[a].labels, &right = live_[b].labels;
        Labels all = left;
        for (const int label : right) {
          if (!contains(left, label)) all.push_back(label);
        }
        const std::int64_t left_over =
            lengths_.size_of(result_of(a, b)) - lengths_.size_of(left) - lengths_.size_of(right);
        const std::pair cost{left_over, lengths_.size_of(all)};
        if (cost < least) {
          least = cost;
          best = {a, b};
        }
      }
    }
    return best;
  }

  void contract(std::size_t a, std::size_t b) {
    Labels out = result_of(a, b);
    steps_.push_back({live_[a].value, live_[b].value, live_[a].labels, live_[b].labels, out});
    live_[a] = {next_++, std::move(out)};
    live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(b));
  }

  std::vector<Live> live_;
  Labels out_;
  const Lengths& lengths_;
  std::vector<EinsumStep> steps_;
  int next_ = 0;
};

}  // namespace

std::vector<EinsumStep> plan_einsum(std::string_view subscripts, std::span<const Shape> shapes) {
  const Subscripts parsed = Parser(subscripts).parse();
  if (parsed.terms.size() != shapes.size()) {
    fail<ArgumentError>("einsum: \"{}\" names {} operand{}, {} were given", subscripts, parsed.terms.size(),
                        parsed.terms.size() == 1 ? "" : "s", shapes.size());
  }
  Lengths lengths;
  std::vector<Labels> operands = label_operands(subscripts, parsed, shapes, lengths);
  Labels out = label_result(subscripts, parsed, lengths);
  return Planner(std::move(operands), shapes, std::move(out), lengths).plan();
}

}  // namespace gradus::detail
