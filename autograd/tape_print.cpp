#include <algorithm>
#include <set>

#include "autograd/tape_storage.hpp"

namespace gradus {

namespace detail {

namespace {

/// What is drawn as one: a node, or the nodes of one call of a folded module.
struct Item {
  std::uint32_t first, last;  // nodes
  std::uint32_t scope;        // the module around it
  std::uint32_t folded;       // the module that it stands for, or 0
};

/// Items begin..begin+period-1, `times` times one after the other.
struct Group {
  std::size_t begin, period, times;
  std::size_t end() const { return begin + period * times; }
};

/// A tape as it is drawn: folded by module, then where steps repeat.
class Picture {
 public:
  Picture(const TapeStorage& tape, const TapePrintOptions& options) : tape_(tape) {
    const auto count = static_cast<std::uint32_t>(tape.nodes.size());
    for (std::uint32_t i = 0; i < count; ++i) {
      const std::uint32_t scope = tape.nodes[i].scope;
      const bool folds = tape.scopes.depth(scope) > std::max(options.depth, 0);
      const std::uint32_t folded = folds ? tape.scopes.ancestor(scope, std::max(options.depth, 0) + 1) : 0;
      if (folds && !items_.empty() && items_.back().folded == folded) {
        items_.back().last = i;
      } else {
        items_.push_back({i, i, folds ? tape.scopes.parent(folded) : scope, folded});
      }
    }
    std::int64_t lines = 0;
    for (std::size_t at = 0; at < items_.size() && lines < options.lines; at = groups_.back().end()) {
      groups_.push_back(repeated_from(at));
      lines += static_cast<std::int64_t>(groups_.back().period);
    }
  }

  const std::vector<Item>& items() const { return items_; }
  const std::vector<Group>& groups() const { return groups_; }
  /// The items from here on were too many.
  std::size_t drawn() const { return groups_.empty() ? 0 : groups_.back().end(); }

 private:
  bool alike(const Item& a, const Item& b) const {
    if (a.scope != b.scope || a.folded != b.folded || a.last - a.first != b.last - b.first) return false;
    const Node &x = tape_.nodes[a.last], &y = tape_.nodes[b.last];
    return x.name == y.name && x.file == y.file && x.line == y.line && x.edge_count == y.edge_count &&
           x.dtype == y.dtype && x.shape == y.shape && x.scope == y.scope;
  }

  std::size_t times_repeated(std::size_t at, std::size_t period) const {
    std::size_t i = at;
    while (i + period < items_.size() && alike(items_[i], items_[i + period])) ++i;
    return (i - at) / period + 1;
  }

  /// The repetition from here that covers most; two times are not worth a word.
  Group repeated_from(std::size_t at) const {
    constexpr std::size_t longest = 256, fewest = 3;
    Group best{at, 1, 1};
    for (std::size_t period = 1; period <= longest; ++period) {
      if (best.times > 1 && period % best.period == 0) continue;
      const Group found{at, period, times_repeated(at, period)};
      if (found.times >= fewest && found.end() > best.end()) best = found;
    }
    return best;
  }

  const TapeStorage& tape_;
  std::vector<Item> items_;
  std::vector<Group> groups_;
};

std::string bytes_text(std::size_t bytes) {
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  const double kib = static_cast<double>(bytes) / 1024;
  return kib < 1024 ? fmt::format("{:.1f} KiB", kib) : fmt::format("{:.1f} MiB", kib / 1024);
}

std::string typed(const Node& node) {
  return fmt::format("{} {}", node.shape, name_of(node.dtype));
}

std::string where_text(const Node& node) {
  return Where{node.file, node.line}.text();
}

/// "mul", and "split[1]" for the second result of several.
std::string name_text(const Node& node) {
  return node.result + node.further == 0 ? node.name : fmt::format("{}[{}]", node.name, node.result);
}

/// "mul(#3, #1)"
std::string call_text(const Node& node) {
  std::string out = name_text(node);
  if (node.edge_count == 0) return out;
  const char* before = "(";
  for (const Edge& edge : node.edge_list()) {
    out += before + (edge.input == no_node ? std::string("constant") : fmt::format("#{}", edge.input));
    before = ", ";
  }
  return out + ")";
}

std::string item_line(const TapeStorage& tape, const Item& item) {
  const Node& node = tape.nodes[item.last];
  if (item.folded != 0) {
    return fmt::format("{:<8}{} ({} nodes)  {}", fmt::format("#{}", item.first),
                       tape.scopes.path(item.folded), item.last - item.first + 1, typed(node));
  }
  const std::string path = tape.scopes.path(item.scope);
  return fmt::format("{:<8}{:<24} {:<20} {}{}", fmt::format("#{}", item.first), call_text(node), typed(node),
                     where_text(node), path.empty() ? path : "  in " + path);
}

std::string totals(const TapeStorage& tape) {
  std::size_t results = 0, ops = 0, leaves = 0;
  for (const Node& node : tape.nodes) {
    results += static_cast<std::size_t>(node.shape.size()) * bytes_of(node.dtype);
    leaves += node.edge_count == 0;
    ops += node.edge_count > 0 && node.result == 0;
  }
  const std::size_t unused = static_cast<std::size_t>(tape.arena_end - tape.arena_next);
  return fmt::format("{} ops and {} leaves; results of {}, closures and edges of {}\n", ops, leaves,
                     bytes_text(results), bytes_text(tape.arena.bytes() - unused));
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// The boxes, arrows and frames of a picture in Graphviz's language.
class Dot {
 public:
  Dot(const TapeStorage& tape, const Picture& picture)
      : tape_(tape), picture_(picture), box_of_(tape.nodes.size(), none) {
    for (const Group& group : picture.groups()) {
      for (std::size_t i = group.begin; i < group.end(); ++i) {
        const std::size_t box = group.begin + (i - group.begin) % group.period;
        const Item& item = picture.items()[i];
        for (std::uint32_t node = item.first; node <= item.last; ++node) {
          box_of_[node] = static_cast<std::uint32_t>(box);
        }
      }
      for (std::size_t box = group.begin; box < group.begin + group.period; ++box) add_box(box, group.times);
    }
  }

  std::string text() {
    std::string out = "digraph tape {\n  rankdir=BT;\n  node [shape=box, fontsize=10];\n";
    write_scope(out, 0, "  ");
    if (const std::size_t more = picture_.items().size() - picture_.drawn(); more > 0)
      out += fmt::format("  more [shape=plaintext, label=\"{} more\"];\n", more);
    for (const auto& [from, to] : arrows()) out += fmt::format("  n{} -> n{};\n", from, to);
    return out + "}\n";
  }

 private:
  static constexpr std::uint32_t none = 0xFFFFFFFF;

  struct Frame {
    std::set<std::uint32_t> inside;  // scopes
    std::string boxes;
  };

  void add_box(std::size_t box, std::size_t times) {
    const Item& item = picture_.items()[box];
    const Node& node = tape_.nodes[item.last];
    const bool leaf = node.edge_count == 0 && item.folded == 0;
    std::string label = item.folded != 0
                            ? fmt::format("{}\n{} nodes, to {}", tape_.scopes.name(item.folded),
                                          item.last - item.first + 1, typed(node))
                            : fmt::format("{}\n{}\n{}", name_text(node), typed(node), where_text(node));
    if (times > 1) label += fmt::format("\n{} times", times);
    frame(item.scope).boxes +=
        fmt::format("n{} [label={}{}];\n", box, quoted(label),
                    leaf ? ", shape=ellipse" : (item.folded != 0 ? ", shape=box3d" : ""));
  }

  /// The frame of a module, inside those around it.
  Frame& frame(std::uint32_t scope) {
    if (frames_.size() <= scope) frames_.resize(scope + 1);
    if (scope != 0) frame(tape_.scopes.parent(scope)).inside.insert(scope);
    return frames_[scope];
  }

  void write_scope(std::string& out, std::uint32_t scope, const std::string& indent) const {
    if (scope >= frames_.size()) return;
    const std::string& boxes = frames_[scope].boxes;
    for (std::size_t at = 0; at < boxes.size();) {
      const std::size_t end = boxes.find(";\n", at) + 2;
      out += indent + boxes.substr(at, end - at);
      at = end;
    }
    for (const std::uint32_t inner : frames_[scope].inside) {
      out += fmt::format("{}subgraph cluster_{} {{\n{}  label={};\n", indent, inner, indent,
                         quoted(tape_.scopes.name(inner)));
      write_scope(out, inner, indent + "  ");
      out += indent + "}\n";
    }
  }

  /// Of a repetition the first two rounds show all that there is: the way in, and the way from one to the
  /// next.
  std::set<std::pair<std::uint32_t, std::uint32_t>> arrows() const {
    std::set<std::pair<std::uint32_t, std::uint32_t>> out;
    for (const Group& group : picture_.groups()) {
      const std::size_t rounds = std::min<std::size_t>(group.times, 2);
      for (std::size_t i = group.begin; i < group.begin + rounds * group.period; ++i) add_arrows(i, out);
    }
    return out;
  }
  void add_arrows(std::size_t i, std::set<std::pair<std::uint32_t, std::uint32_t>>& out) const {
    const Item& item = picture_.items()[i];
    for (std::uint32_t node = item.first; node <= item.last; ++node) {
      for (const Edge& edge : tape_.nodes[node].edge_list()) {
        if (edge.input == no_node || (edge.input >= item.first && edge.input <= item.last)) continue;
        out.emplace(box_of_[edge.input], box_of_[node]);
      }
    }
  }

  const TapeStorage& tape_;
  const Picture& picture_;
  std::vector<std::uint32_t> box_of_;  // by node
  std::vector<Frame> frames_;          // by scope
};

}  // namespace

}  // namespace detail

std::string Tape::print(TapePrintOptions options) const {
  const detail::Picture picture(*storage_, options);
  std::string out;
  for (const detail::Group& group : picture.groups()) {
    for (std::size_t i = group.begin; i < group.begin + group.period; ++i) {
      out += detail::item_line(*storage_, picture.items()[i]) + "\n";
    }
    if (group.times == 1) continue;
    out += fmt::format("        ... {} {} times, to #{}\n",
                       group.period == 1 ? "this" : fmt::format("these {} lines", group.period), group.times,
                       picture.items()[group.end() - 1].last);
  }
  if (const std::size_t more = picture.items().size() - picture.drawn(); more > 0)
    out += fmt::format("        ... and {} more\n", more);
  return out + detail::totals(*storage_);
}

std::string Tape::dot(TapePrintOptions options) const {
  const detail::Picture picture(*storage_, options);
  return detail::Dot(*storage_, picture).text();
}

}  // namespace gradus
