#pragma once

// Internal: not part of the public interface.

// The modules that a tape met; for the engine's own files.

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
    const auto* frame = static_cast<const ModuleFrame*>(error_context);
    if (frame == nullptr) return 0;
    return frame->tape == tape ? frame->scope : number_of(*static_cast<ModuleFrame*>(error_context), tape);
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
  std::uint32_t number_of(ModuleFrame& frame, std::uint32_t tape);
  std::uint32_t add(const ModuleFrame& frame, std::uint32_t called_in, std::uint32_t tape);

  std::vector<Entry> entries_;  // the first used_ are in use; the others keep their strings' memory
  std::size_t used_ = 0;
  std::size_t last_ = 0;  // the entry found last: modules are mostly called in the same order
};

/// While it lives, what is recorded on the tape stands in the module of that number: that of the op being
/// differentiated.
class ScopeStandIn : ModuleFrame {
 public:
  ScopeStandIn(std::uint32_t on, std::uint32_t number) noexcept
      : ModuleFrame{{error_context, &module_text}, nullptr, nullptr, on, number} {
    error_context = this;
  }
  ~ScopeStandIn() { error_context = outer; }
  ScopeStandIn(const ScopeStandIn&) = delete;
  ScopeStandIn& operator=(const ScopeStandIn&) = delete;
};

/// The path of a frame as far as the modules around it hold it.
std::string path_of(const ModuleFrame& frame);

}  // namespace gradus::detail
