// Tangents forward along the tape, for ops that work element by element. The jacobian of such an op is
// diagonal, and so its own transpose: a closure's product with the gradient of a result is, of an input's
// tangent, the tangent of the result. So jvp needs no second form of any derivative, nor, for functions made
// of such ops, a reverse sweep and the reverse of that.

#include "autograd/ops/arithmetic.hpp"
#include "autograd/ops/reduction.hpp"
#include "autograd/tape_storage.hpp"

namespace gradus::detail {

namespace {

class TangentSweep {
 public:
  TangentSweep(TapeStorage& tape, std::uint32_t begin, std::uint32_t end)
      : tape_(tape),
        begin_(begin),
        depends_(end - begin + 1, false),
        uses_(depends_.size()),
        tangents_(depends_.size()) {}

  /// The tangent of one of the nodes. Listed twice, it has both.
  void seed(const SweepStart& start) {
    if (start.node - begin_ >= depends_.size()) return;  // made after what is asked for
    depends_[start.node - begin_] = true;
    add(start.node, start.seed);
  }
  /// Whether every op between the seeds and the last node works element by element. Those that lead
  /// elsewhere do not matter, but make it harder to say: then it is false too.
  bool is_by_elements() {
    for (std::size_t k = 0; k < depends_.size(); ++k) {
      const Node& node = tape_.nodes[begin_ + k];
      bool depends = false, by_elements = node.further == 0 && node.result == 0;
      for (const Edge& edge : node.edge_list()) {
        if (!depends_on(edge.input)) continue;
        depends = true;
        ++uses_[edge.input - begin_];
        const Closure* const closure = edge.closure;
        by_elements &=
            closure != nullptr && closure->table->broadcasts && closure->table->variable != nullptr;
      }
      if (depends && (!by_elements || depends_[k])) return false;  // a seed of its own is no result
      depends_[k] = depends_[k] || depends;
    }
    return true;
  }
  /// The tangent of the last node; undefined where it does not depend on the seeds.
  Variable run() {
    const TapeStorage::Sweeping sweeping(tape_);
    SweepFrame frame(tape_);
    for (std::uint32_t k = 0; k < depends_.size(); ++k) {
      const std::uint32_t i = begin_ + k;
      // What is recorded meanwhile may move the nodes, but not the edges.
      const std::span<const Edge> edges = tape_.nodes[i].edge_list();
      if (!depends_[k] || edges.empty()) continue;
      frame.begin(i);
      for (const Edge& edge : edges) {
        if (!depends_on(edge.input)) continue;
        Variable& tangent = tangents_[edge.input - begin_];
        const Variable part = edge.closure->table->variable(edge.closure, tangent);
        if (--uses_[edge.input - begin_] == 0) tangent = Variable();  // nobody needs it any more
        add(i, part.shape() == tape_.nodes[i].shape ? part : broadcast_to(part, tape_.nodes[i].shape));
      }
      frame.end();
    }
    return std::move(tangents_.back());
  }

 private:
  bool depends_on(std::uint32_t node) const {
    return node != no_node && node >= begin_ && depends_[node - begin_];
  }
  void add(std::uint32_t node, const Variable& part) {
    Variable& sum = tangents_[node - begin_];
    sum = sum.value().defined() ? sum + part : part;
  }

  TapeStorage& tape_;
  std::uint32_t begin_;
  storage::PoolVector<bool> depends_;
  storage::PoolVector<std::uint32_t> uses_;  // of a tangent, by what depends on it
  storage::PoolVector<Variable> tangents_;
};

}  // namespace

std::optional<Variable> sweep_tangents(TapeStorage& tape, std::span<const SweepStart> starts,
                                       std::uint32_t node, std::uint32_t begin, bool record) {
  if (tape.checks || tape.plant != nullptr) return {};  // which look at gradients
  if (node == no_node) return Variable();
  if (node < begin) return {};  // it may be one of those that start
  TangentSweep sweep(tape, begin, node);
  for (const SweepStart& start : starts) {
    if (start.node == no_node) continue;
    if (start.node < begin) return {};
    sweep.seed(start);
  }
  if (!sweep.is_by_elements()) return {};
  std::optional<PauseRecording> pause;
  if (!record) pause.emplace();
  return sweep.run();
}

}  // namespace gradus::detail
