#include "autograd/sweep.hpp"

#include <algorithm>

#include "autograd/anomaly.hpp"
#include "autograd/located.hpp"

namespace gradus::detail {

void rethrow_while_differentiating(const TapeStorage& tape, const Node& node) {
  const std::string path = tape.scopes.path(node.scope);
  const std::string prefix =
      fmt::format("while differentiating {}, recorded at {}{}: ", node.name,
                  Where{node.file, node.line}.text(), path.empty() ? path : " in " + path);
  rethrow_after(prefix);
}

void destroy_closures(std::span<Edge> edges) noexcept {
  Closure* last = nullptr;  // the edges of a joint closure share it
  for (Edge& edge : edges) {
    if (edge.closure != nullptr && edge.closure != last) edge.closure->table->destroy(edge.closure);
    if (edge.closure != nullptr) last = edge.closure;
    edge.closure = nullptr;
  }
}

namespace {

class Sweep {
 public:
  Sweep(TapeStorage& tape, bool keep) : tape_(tape), keep_(keep) {
    tape_.sums.clear();
    tape_.rows.clear();
  }

  GradientList run(std::uint32_t last, Tensor seed) {
    tape_.sums.resize(last + 1);
    tape_.sums[last] = std::move(seed);
    for (std::uint32_t i = last + 1; i-- > 0;) visit(i);
    return collect();
  }

 private:
  void visit(std::uint32_t i) {
    Node& node = tape_.nodes[i];
    if (node.edge_count == 0) return;  // a leaf
    if (tape_.sums[i].defined()) {
      const Variable g(std::move(tape_.sums[i]));
      try {
        differentiate(node.edge_list(), g);
      } catch (...) {
        rethrow_while_differentiating(tape_, node);
      }
      if (tape_.checks) check(i, g.value());
    }
    if (!keep_) destroy_closures(node.edge_list());
  }

  void check(std::uint32_t i, const Tensor& g) {
    for (const Edge& edge : tape_.nodes[i].edge_list()) {
      if (edge.input != no_node) check_gradient_of(tape_, i, edge.input, g, &tape_.sums[edge.input]);
    }
    // Rows that a leaf was given stand apart; at most one an edge is new.
    const std::size_t before =
        tape_.rows.size() - std::min(tape_.rows.size(), tape_.nodes[i].edge_list().size());
    for (std::size_t k = before; k < tape_.rows.size(); ++k) {
      const auto& [owner, more] = tape_.rows[k];
      check_gradient_of(tape_, i, owner, g, &more.values);
    }
  }

  void differentiate(std::span<Edge> edges, const Variable& g) {
    if (edges.front().closure->table->first == Form::joint) return differentiate_jointly(edges, g.value());
    for (const Edge& edge : edges) {
      const ClosureTable& table = *edge.closure->table;
      const Node& input = tape_.nodes[edge.input];
      Tensor& sum = tape_.sums[edge.input];
      switch (table.first) {
        case Form::variable:
          accumulate(sum, input, table.variable(edge.closure, g).take());
          break;
        case Form::tensor:
          accumulate(sum, input, table.tensor(edge.closure, g.value()));
          break;
        case Form::add:
          if (!sum.defined() && table.tensor != nullptr) {
            accumulate(sum, input, table.tensor(edge.closure, g.value()));
            break;
          }
          if (!sum.defined()) sum = zeros(input.shape, input.dtype);
          table.add(edge.closure, g.value(), sum);
          break;
        case Form::rows:
          differentiate_rows(edge, g.value());
          break;
        case Form::joint:
          break;  // above
      }
    }
  }

  void differentiate_rows(const Edge& edge, const Tensor& g) {
    Rows rows = edge.closure->table->rows(edge.closure, g);
    const Node& input = tape_.nodes[edge.input];
    if (input.edge_count == 0) {
      tape_.rows.emplace_back(edge.input, std::move(rows));
    } else {
      add_rows(tape_.sums[edge.input], input, rows);
    }
  }

  void differentiate_jointly(std::span<Edge> edges, const Tensor& g) {
    if (tape_.joint_out.size() < edges.size()) {
      tape_.joint_out.resize(edges.size());
      tape_.joint_wanted = std::make_unique<bool[]>(edges.size());
    }
    const std::span<bool> wanted(tape_.joint_wanted.get(), edges.size());
    const std::span<Tensor> out = std::span(tape_.joint_out).first(edges.size());
    for (std::size_t i = 0; i < edges.size(); ++i) {
      wanted[i] = edges[i].input != no_node;
      out[i] = Tensor();  // a closure that threw may have left something
    }
    Closure* closure = edges.front().closure;
    closure->table->joint(closure, g, wanted, out);
    for (std::size_t i = 0; i < edges.size(); ++i) {
      Tensor part = std::move(out[i]);
      if (!wanted[i] || !part.defined()) continue;
      accumulate(tape_.sums[edges[i].input], tape_.nodes[edges[i].input], std::move(part));
    }
  }

  static void accumulate(Tensor& sum, const Node& node, Tensor g) {
    if (g.dtype() != node.dtype || !g.has_shape(node.shape)) g = fitted(std::move(g), node.shape, node.dtype);
    if (sum.defined()) {
      add_to(sum, g);
    } else {
      sum = std::move(g);
    }
  }

  static void add_rows(Tensor& sum, const Node& node, const Rows& rows) {
    if (!sum.defined()) sum = zeros(node.shape, node.dtype);
    scatter_add_rows(sum, rows.ids, rows.values);
  }

  GradientList collect() {
    GradientList out;
    out.reserve(tape_.leaves.size());
    for (const Leaf& leaf : tape_.leaves) {
      if (leaf.node >= tape_.sums.size()) continue;
      const Node& node = tape_.nodes[leaf.node];
      Gradient gradient{
          leaf.place, std::move(tape_.sums[leaf.node]), {}, leaf.used_by, {node.file, node.line}};
      add_sparse(gradient, leaf.node);
      if (gradient.dense.defined() || gradient.rows.values.defined()) out.push_back(std::move(gradient));
    }
    tape_.sums.clear();
    tape_.rows.clear();
    return out;
  }

  // Row-sparse parts stay so unless a dense one is there too.
  void add_sparse(Gradient& gradient, std::uint32_t index) {
    storage::PoolVector<std::int32_t> ids;
    storage::PoolVector<Tensor> values;
    std::int64_t height = 0;
    for (const auto& [owner, rows] : tape_.rows) {
      if (owner != index) continue;
      if (gradient.dense.defined()) {
        add_rows(gradient.dense, tape_.nodes[index], rows);
        continue;
      }
      ids.insert(ids.end(), rows.ids.values().begin(), rows.ids.values().end());
      values.push_back(rows.values);
      height = rows.height;
    }
    if (values.empty()) return;
    Tensor all = values.size() == 1 ? values.front() : concat(values, 0);
    gradient.rows = Rows{Indices::from_pool(std::move(ids)), std::move(all), height}.merged();
  }

  TapeStorage& tape_;
  bool keep_;
};

}  // namespace

GradientList sweep(TapeStorage& tape, std::uint32_t last, Tensor seed, bool keep) {
  const TapeStorage::Sweeping sweeping(tape);
  return Sweep(tape, keep).run(last, std::move(seed));
}

}  // namespace gradus::detail
