#pragma once

// Internal: the modules that a tape met.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "autograd/module_path.hpp"

namespace gradus::detail {

/// A number for each module in whose call something was recorded; 0 is none. Entries hold names, not
/// modules, since a tape may outlive these.
class ScopeTable {
 public:
  /// The number of the module that is being called on this thread.
  std::uint32_t current(std::uint32_t tape) {
    ScopeFrame* const frame = ScopeFrame::innermost();
    if (frame == nullptr) return 0;
    return frame->tape == tape ? frame->scope : number_of(*frame, tape);
  }
  /// "LstmLm.head", the first `parts` of it, where the first is the type of the outermost module; ""
  /// for 0.
  std::string path(std::uint32_t scope, int parts = 1 << 30) const;
  /// The number of parts of the path.
  int depth(std::uint32_t scope) const { return scope == 0 ? 0 : entries_[scope - 1].depth; }
  /// The module around the scope of which the path has `parts` parts, or the scope itself when it has no
  /// more.
  std::uint32_t ancestor(std::uint32_t scope, int parts) const;

  /// The scope around it in its path, and the last part of the path.
  std::uint32_t parent(std::uint32_t scope) const { return entries_[scope - 1].parent; }
  std::string name(std::uint32_t scope) const;

  /// Forgets all; the entries' memory is kept for the next tape.
  void clear() noexcept { used_ = last_ = 0; }

 private:
  struct Entry {
    const void* module;
    const ModuleType* type;
    std::uint32_t called_in;  // the scope around the call
    std::uint32_t parent;     // the scope whose path comes before the name
    int depth;
    std::string name;  // empty for one that is no part of a module around it: the type's name stands for it
  };
  std::uint32_t number_of(ScopeFrame& frame, std::uint32_t tape);
  std::uint32_t add(const ScopeFrame& frame, std::uint32_t called_in, std::uint32_t tape);

  std::vector<Entry> entries_;  // the first used_ are in use; the others keep their strings' memory
  std::size_t used_ = 0;
  std::size_t last_ = 0;  // the entry found last: modules are mostly called in the same order
};

}  // namespace gradus::detail
