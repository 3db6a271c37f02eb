#include "autograd/module_path.hpp"

#include <string_view>
#include <vector>

#include "autograd/tape_storage.hpp"

namespace gradus {

namespace detail {

namespace {

/// The innermost frame around this one whose module holds its module, and the path between; null when none
/// does.
const ScopeFrame* owner_of(const ScopeFrame& frame, std::string& path) {
  for (const ScopeFrame* outer = frame.around(); outer != nullptr; outer = outer->around()) {
    if (outer->type != nullptr && outer->type->find(outer->module, frame.module, frame.type, path))
      return outer;
  }
  path.clear();
  return nullptr;
}

}  // namespace

std::string short_type_name(const char* pretty_function) {
  std::string_view text(pretty_function);
  const std::size_t begin = text.find("M = ");
  if (begin == text.npos) return std::string(text);
  text.remove_prefix(begin + 4);
  std::string out;
  std::size_t word = 0;  // where the last name begins: what stands there before "::" is a namespace
  std::vector<std::size_t> around;  // the words that stand before the open angles
  int angles = 0, rounds = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == ';' || c == ']') && angles == 0 && rounds == 0) break;
    rounds += (c == '(') - (c == ')');
    if (c == ':' && i + 1 < text.size() && text[i + 1] == ':' && rounds == 0) {
      out.resize(word);
      ++i;
      continue;
    }
    if (c == ' ' && i + 1 < text.size() && text[i + 1] == '>') continue;  // g++ writes "> >"
    if (rounds == 0) angles += (c == '<') - (c == '>');
    if (rounds == 0 && c == '<') around.push_back(word);
    if (rounds == 0 && c == '>' && !around.empty()) {
      word = around.back();
      around.pop_back();
    }
    out += c;
    if (rounds == 0 && (c == '<' || c == ',' || (c == ' ' && out.size() > 1 && out[out.size() - 2] == ',')))
      word = out.size();
  }
  return out;
}

/// The path of a module as far as the modules around it hold it; empty for a sweep.
std::string path_of(const ScopeFrame& frame) {
  if (frame.type == nullptr) return {};
  std::string name;
  if (const ScopeFrame* owner = owner_of(frame, name)) return path_of(*owner) + "." + name;
  const std::string outer = frame.around() == nullptr ? std::string() : path_of(*frame.around());
  return outer.empty() ? frame.type->name() : outer + ".<" + frame.type->name() + ">";
}

std::string Frame::text_of(const ErrorContext& innermost) {
  std::string during, at, in;
  bool in_sweep = false;  // what is around a sweep is not the doing of the ops that it differentiates
  for (const ErrorContext* context = &innermost; context != nullptr; context = context->outer) {
    const Frame& frame = static_cast<const Frame&>(*context);
    if (frame.kind == Kind::sweep) {
      during.insert(0, static_cast<const SweepFrame&>(frame).text());
      in_sweep = true;
    } else if (frame.kind == Kind::module && !in_sweep && in.empty()) {
      in = "in " + path_of(static_cast<const ScopeFrame&>(frame));
    } else if (frame.kind == Kind::op && !in_sweep && in.empty() && at.empty()) {
      at = "at " + static_cast<const InOp&>(frame).where.text();
    }
  }
  if (at.empty() && in.empty() && during.ends_with(": ")) during.resize(during.size() - 2);
  return during + at + (at.empty() || in.empty() ? "" : ": ") + in;
}

std::string SweepFrame::text() const {
  if (node == no_node) return {};
  const Node& of = storage->nodes[node];
  const std::string path = storage->scopes.path(of.scope);
  return fmt::format("while differentiating {}, recorded at {}{}: ", of.name, Where{of.file, of.line}.text(),
                     path.empty() ? path : " in " + path);
}

std::uint32_t ScopeTable::number_of(ScopeFrame& frame, std::uint32_t tape) {
  if (frame.tape == tape) return frame.scope;
  if (frame.type == nullptr) return 0;  // a sweep over another tape
  ScopeFrame* const outer = frame.around();
  const std::uint32_t called_in = outer == nullptr ? 0 : number_of(*outer, tape);
  std::uint32_t number = 0;
  for (std::size_t k = 1; k <= used_ && number == 0; ++k) {
    const std::size_t i = (last_ + k) % used_;
    const Entry& entry = entries_[i];
    if (entry.module == frame.module && entry.type == frame.type && entry.called_in == called_in) {
      last_ = i;
      number = static_cast<std::uint32_t>(i + 1);
    }
  }
  if (number == 0) number = add(frame, called_in, tape);
  frame.tape = tape;
  frame.scope = number;
  return number;
}

std::uint32_t ScopeTable::add(const ScopeFrame& frame, std::uint32_t called_in, std::uint32_t tape) {
  if (used_ == entries_.size()) entries_.emplace_back();
  Entry& entry = entries_[used_];
  const ScopeFrame* owner = owner_of(frame, entry.name);
  entry.module = frame.module;
  entry.type = frame.type;
  entry.called_in = called_in;
  // Frames around this one have numbers by now, but for those around a sweep over another tape.
  entry.parent = owner == nullptr ? called_in : owner->tape == tape ? owner->scope : 0;
  entry.depth = depth(entry.parent) + 1;
  last_ = used_++;
  return static_cast<std::uint32_t>(used_);
}

std::string ScopeTable::path(std::uint32_t scope, int parts) const {
  scope = ancestor(scope, parts);
  if (scope == 0) return {};
  // A path through several levels counts as one part: those between were not called.
  return parent(scope) == 0 ? name(scope) : path(parent(scope)) + "." + name(scope);
}

std::string ScopeTable::name(std::uint32_t scope) const {
  const Entry& entry = entries_[scope - 1];
  if (!entry.name.empty()) return entry.name;
  return entry.parent == 0 ? entry.type->name() : "<" + entry.type->name() + ">";
}

std::uint32_t ScopeTable::ancestor(std::uint32_t scope, int parts) const {
  while (depth(scope) > parts) scope = entries_[scope - 1].parent;
  return scope;
}

}  // namespace detail

std::string module_path() {
  const detail::ScopeFrame* innermost = detail::ScopeFrame::innermost();
  return innermost == nullptr ? std::string() : detail::path_of(*innermost);
}

}  // namespace gradus
