#include "autograd/module_path.hpp"

#include <string_view>

#include "autograd/scope_table.hpp"

namespace gradus {

namespace detail {

namespace {

const ModuleFrame* around(const ModuleFrame& frame) {
  return static_cast<const ModuleFrame*>(frame.outer);
}

/// The innermost frame around this one whose module holds its module, and the path between; null when none
/// does.
const ModuleFrame* owner_of(const ModuleFrame& frame, std::string& path) {
  for (const ModuleFrame* outer = around(frame); outer != nullptr; outer = around(*outer)) {
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
    out += c;
    if (rounds == 0 && (c == '<' || c == ',' || (c == ' ' && out.size() > 1 && out[out.size() - 2] == ',')))
      word = out.size();
  }
  return out;
}

std::string path_of(const ModuleFrame& frame) {
  if (frame.type == nullptr) return {};
  std::string name;
  if (const ModuleFrame* owner = owner_of(frame, name)) return path_of(*owner) + "." + name;
  const std::string outer = around(frame) == nullptr ? std::string() : path_of(*around(frame));
  return outer.empty() ? frame.type->name() : outer + ".<" + frame.type->name() + ">";
}

std::string module_text(ErrorContext& context) {
  const std::string path = path_of(static_cast<const ModuleFrame&>(context));
  return path.empty() ? path : "in " + path;
}

std::uint32_t ScopeTable::number_of(ModuleFrame& frame, std::uint32_t tape) {
  if (frame.tape == tape) return frame.scope;
  if (frame.type == nullptr) return 0;  // stands in for an entry of another tape
  auto* const outer = static_cast<ModuleFrame*>(frame.outer);
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

std::uint32_t ScopeTable::add(const ModuleFrame& frame, std::uint32_t called_in, std::uint32_t tape) {
  if (used_ == entries_.size()) entries_.emplace_back();
  Entry& entry = entries_[used_];
  const ModuleFrame* owner = owner_of(frame, entry.name);
  entry.module = frame.module;
  entry.type = frame.type;
  entry.called_in = called_in;
  // Frames around this one have numbers by now, but for those that stand in for another tape's.
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
  return error_context == nullptr ? std::string()
                                  : detail::path_of(*static_cast<const detail::ModuleFrame*>(error_context));
}

}  // namespace gradus
