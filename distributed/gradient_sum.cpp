#include "distributed/gradient_sum.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstring>
#include <utility>

#include "optim/gradient_tree.hpp"
#include "tensor/ops.hpp"
#include "tensor/safetensors.hpp"

namespace gradus::distributed {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t least_bucket_bytes = std::int64_t{1} << 20,
                       most_buckets = 4000;            // of which each has two tags
constexpr std::int64_t block = std::int64_t{1} << 14;  // elements that are added at once
constexpr std::int64_t align = 64;                     // elements; shares begin at whole lines of the cache

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

/// The elements from `begin` on of a flat tensor.
std::span<std::byte> part_of(Tensor& flat, std::int64_t begin, std::int64_t size) {
  return visit_dtype(flat.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return std::as_writable_bytes(std::span(flat.mutable_data<T>() + begin, static_cast<std::size_t>(size)));
  });
}

std::span<const std::byte> part_of(const Tensor& flat, std::int64_t begin, std::int64_t size) {
  return visit_dtype(flat.dtype(), [&](auto tag) {
    using T = decltype(tag);
    return std::as_bytes(std::span(flat.data<T>() + begin, static_cast<std::size_t>(size)));
  });
}

void copy(const Tensor& from, std::int64_t from_begin, Tensor& to, std::int64_t to_begin, std::int64_t size) {
  visit_dtype(to.dtype(), [&](auto tag) {
    using T = decltype(tag);
    std::copy_n(from.data<T>() + from_begin, size, to.mutable_data<T>() + to_begin);
  });
}

}  // namespace

/// A parameter, and its gradient in this process.
struct GradientSum::Slot {
  Place of;
  Shape shape;
  Dtype dtype;
  Gradient own;
  Form form = Form::none;
  bool by_rows = false;  // not among the buckets, since not every process had it dense the last time
  std::size_t bucket = 0;
  std::int64_t begin = 0;  // in the bucket
};

/// Gradients that travel together: one large one, which is sent from where it is, or several small ones,
/// which are copied to `flat`. The sums are received there.
struct GradientSum::Bucket {
  std::vector<std::size_t> slots;
  std::int64_t size = 0;
  Dtype dtype = Dtype::f32;
  std::size_t missing = 0;  // slots whose gradients have not come
  enum class State { waits, shares, sums, done } state = State::waits;
  Tensor flat;
  std::vector<Tensor> came;  // this process's share, from each process
  Transfers transfers;

  std::int64_t begin_of(int rank, int size_of_all) const {
    const std::int64_t step = (size + size_of_all - 1) / size_of_all;
    const std::int64_t aligned = (step + align - 1) / align * align;
    return std::min(size, rank * aligned);
  }
};

GradientSum::~GradientSum() = default;

GradientSum::GradientSum(Communicator all, const ParameterView& parameters, double factor)
    : all_(std::move(all)), factor_(factor) {
  if (!std::has_single_bit(static_cast<unsigned>(all_.size())))
    fail<ArgumentError>(
        "gradients of {} processes; they are added in a binary tree: start 1, 2, 4, 8 and so on",
        all_.size());
  // Backward comes to the last layers first.
  for (auto part = parameters.parts().rbegin(); part != parameters.parts().rend(); ++part) {
    const Parameter& parameter = *part->second;
    if (parameter.is_constant() || !slot_of_.emplace(parameter.place(), slots_.size()).second) continue;
    slots_.push_back({parameter.place(), parameter.shape(), parameter.dtype(), {}, {}, {}, {}, {}});
  }
  require_alike();
  make_buckets();
}

/// Messages of other lengths than are waited for would be lost.
void GradientSum::require_alike() const {
  std::string own;
  for (const Slot& slot : slots_) own += fmt::format("{} {}; ", name_of(slot.dtype), slot.shape);
  const std::vector<std::string> all = all_.gather_all(own);
  for (std::size_t r = 0; r < all.size(); ++r) {
    if (all[r] != own)
      fail<DataError>("{} has a model of other parameters than {}; start them alike",
                      all_.name(static_cast<int>(r)), all_.name(all_.rank()));
  }
}

void GradientSum::make_buckets() {
  buckets_.clear();
  std::int64_t total = 0;
  for (const Slot& slot : slots_)
    total += slot.shape.size() * static_cast<std::int64_t>(bytes_of(slot.dtype));
  const std::int64_t bucket_bytes = std::max(least_bucket_bytes, total / most_buckets);
  std::map<Dtype, std::size_t> open;  // the bucket that small ones of a dtype go to
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.by_rows) continue;
    const std::int64_t bytes = slot.shape.size() * static_cast<std::int64_t>(bytes_of(slot.dtype));
    const bool large = bytes >= bucket_bytes;
    const auto found = open.find(slot.dtype);
    if (large || found == open.end()) {
      slot.bucket = buckets_.size();
      buckets_.emplace_back().dtype = slot.dtype;
      if (!large) open[slot.dtype] = slot.bucket;
    } else {
      slot.bucket = found->second;
    }
    Bucket& bucket = buckets_[slot.bucket];
    slot.begin = bucket.size;
    bucket.size += slot.shape.size();
    bucket.slots.push_back(i);
    bucket.missing = bucket.slots.size();
    if (!large && bucket.size * static_cast<std::int64_t>(bytes_of(bucket.dtype)) >= bucket_bytes)
      open.erase(slot.dtype);
  }
}

/// Puts a gradient in its slot; false where it is of no parameter.
bool GradientSum::take(Gradient& gradient) {
  const auto found = slot_of_.find(gradient.of);
  if (found == slot_of_.end()) return false;
  Slot& slot = slots_[found->second];
  if (slot.form != Form::none) fail<ArgumentError>("two gradients of one parameter; give each once");
  slot.form = gradient.is_sparse() ? Form::rows : Form::dense;
  slot.own = std::move(gradient);
  gradient = {};
  if (all_.alone() || slot.by_rows || slot.form != Form::dense) return true;
  Bucket& bucket = buckets_[slot.bucket];
  if (--bucket.missing == 0) begin(bucket);
  return true;
}

void GradientSum::add(Gradient& gradient) {
  const Clock::time_point begun = Clock::now();
  if (take(gradient) && !all_.alone()) progress();
  spent_ += seconds_since(begun);
}

int GradientSum::tag_of(const Bucket& bucket) const {
  return Communicator::first_library_tag + 16 + 2 * static_cast<int>(&bucket - buckets_.data());
}

/// Sends each process its share, and receives this one's from all.
void GradientSum::begin(Bucket& bucket) {
  const int tag = tag_of(bucket), own = all_.rank(), size = all_.size();
  const bool sent_as_it_is = bucket.slots.size() == 1 && slots_[bucket.slots[0]].form == Form::dense;
  bucket.flat =
      sent_as_it_is ? Tensor::uninitialized({bucket.size}, bucket.dtype) : zeros({bucket.size}, bucket.dtype);
  for (const std::size_t i : bucket.slots) {
    if (!sent_as_it_is && slots_[i].form == Form::dense)
      copy(slots_[i].own.dense, 0, bucket.flat, slots_[i].begin, slots_[i].shape.size());
  }
  const Tensor sent = sent_as_it_is ? slots_[bucket.slots[0]].own.dense.reshape({bucket.size}) : bucket.flat;
  const std::int64_t share = bucket.begin_of(own + 1, size) - bucket.begin_of(own, size);
  bucket.came.clear();
  for (int r = 0; r < size; ++r) {
    const std::int64_t from = bucket.begin_of(r, size), to = bucket.begin_of(r + 1, size);
    if (r == own) {
      bucket.came.push_back(slice(sent, 0, from, to));  // the same elements, not a copy
    } else {
      bucket.came.push_back(Tensor::uninitialized({share}, bucket.dtype));
      if (share > 0) all_.receive(part_of(bucket.came.back(), 0, share), r, tag, bucket.transfers);
      if (to > from) all_.send(part_of(sent, from, to - from), r, tag, bucket.transfers);
    }
  }
  bucket.state = Bucket::State::shares;
}

/// Adds up the shares that came into the own part of `flat`, by blocks that stay in a near cache, so that
/// each number is read and written once.
void GradientSum::add_shares(Bucket& bucket, std::int64_t begin, std::int64_t share) const {
  for (std::int64_t at = 0; at < share; at += block) {
    const std::int64_t end = std::min(share, at + block);
    std::vector<Tensor> parts;
    for (const Tensor& came : bucket.came) parts.push_back(slice(came, 0, at, end));
    for (std::size_t step = 1; step < parts.size(); step *= 2) {
      for (std::size_t r = 0; r + step < parts.size(); r += 2 * step)
        parts[r] = std::move(parts[r]) + parts[r + step];
    }
    if (factor_ != 1) parts.front() = std::move(parts.front()) * factor_;
    copy(parts.front(), 0, bucket.flat, begin + at, end - at);
  }
  bucket.came.clear();
}

/// Sends the sum of this process's share to all, whose sums are received.
void GradientSum::sum_own_share(Bucket& bucket) {
  const int tag = tag_of(bucket);
  const int own = all_.rank(), size = all_.size();
  const std::int64_t begin = bucket.begin_of(own, size), share = bucket.begin_of(own + 1, size) - begin;
  add_shares(bucket, begin, share);
  const Bucket& sums = bucket;
  for (int r = 0; r < size; ++r) {
    const std::int64_t from = bucket.begin_of(r, size), to = bucket.begin_of(r + 1, size);
    if (r == own) continue;
    if (to > from) all_.receive(part_of(bucket.flat, from, to - from), r, tag + 1, bucket.transfers);
    if (share > 0) all_.send(part_of(sums.flat, begin, share), r, tag + 1, bucket.transfers);
  }
  bucket.state = Bucket::State::sums;
}

bool GradientSum::progress(Bucket& bucket) {
  if (bucket.state == Bucket::State::waits || bucket.state == Bucket::State::done) return true;
  if (!all_.done(bucket.transfers)) return false;
  if (bucket.state == Bucket::State::sums) {
    bucket.state = Bucket::State::done;
    return true;
  }
  sum_own_share(bucket);
  return false;
}

bool GradientSum::progress() {
  bool all_done = true;
  for (Bucket& bucket : buckets_) all_done &= progress(bucket);
  return all_done;
}

/// What the processes have of each parameter.
std::vector<GradientSum::Agreed> GradientSum::agree() const {
  std::vector<std::byte> own;
  for (const Slot& slot : slots_) own.push_back(static_cast<std::byte>(slot.form));
  std::vector<std::vector<std::byte>> all = all_.gather_all(std::span<const std::byte>(own));
  std::vector<Agreed> out;
  for (std::size_t i = 0; i < own.size(); ++i) {
    bool none = true, dense = true;
    for (std::size_t r = 0; r < all.size(); ++r) {
      none &= all[r][i] == static_cast<std::byte>(Form::none);
      dense &= all[r][i] == static_cast<std::byte>(Form::dense);
    }
    out.push_back(none ? Agreed::none : dense ? Agreed::dense : Agreed::mixed);
  }
  return out;
}

int GradientSum::waited_for() const {
  for (const Bucket& bucket : buckets_) {
    if (!bucket.transfers.empty()) return all_.first_peer(bucket.transfers);
  }
  return -1;
}

/// A parameter's gradient in one of the processes, of what came from it.
Gradients GradientSum::gathered(std::size_t i, const Safetensors& from) const {
  const Slot& slot = slots_[i];
  const auto find = [&](const char* what) {
    const auto found = from.tensors.find(std::to_string(i) + what);
    return found == from.tensors.end() ? Tensor() : found->second;
  };
  Gradient part{slot.of, find(".dense"), {}, slot.own.used_by, slot.own.used_at};
  const Tensor values = find(".values");
  if (values.defined()) {
    const Tensor ids = find(".ids");
    std::vector<std::int32_t> of_rows;
    for (std::int64_t k = 0; k < ids.size(); ++k) of_rows.push_back(static_cast<std::int32_t>(ids.at(k)));
    part.rows = {Indices(std::move(of_rows)), values, slot.shape[0]};
  }
  GradientList out;
  if (part.values().defined()) out.push_back(std::move(part));
  return Gradients(std::move(out));
}

/// The sums of gradients that not all have dense, of which everything goes to everybody.
void GradientSum::gather(std::span<const std::size_t> slots, GradientList& out) {
  Safetensors own;
  for (const std::size_t i : slots) {
    const Slot& slot = slots_[i];
    const std::string name = std::to_string(i);
    if (slot.form == Form::dense) own.tensors.emplace(name + ".dense", slot.own.dense);
    if (slot.form != Form::rows) continue;
    own.tensors.emplace(name + ".values", slot.own.rows.values);
    Tensor ids = zeros({slot.own.rows.ids.size()}, Dtype::f64);  // which holds every id
    std::ranges::copy(slot.own.rows.ids.values(), ids.mutable_data<double>());
    own.tensors.emplace(name + ".ids", std::move(ids));
  }
  std::vector<Safetensors> came;
  for (const std::string& bytes : all_.gather_all(safetensors_bytes(own)))
    came.push_back(parse_safetensors(bytes, "a gradient of another process"));
  for (const std::size_t i : slots) {
    optim::GradientTree tree;
    for (const Safetensors& one : came) tree.add(gathered(i, one));
    Gradients sums = tree.take();
    if (factor_ != 1) sums *= factor_;
    for (Gradient& sum : sums.entries()) out.push_back(std::move(sum));
  }
}

/// The sums that came by the buckets, of the parameters that are dense everywhere.
void GradientSum::take_sums(std::span<const Agreed> agreed, GradientList& out) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.by_rows || agreed[i] != Agreed::dense) continue;
    Bucket& bucket = buckets_[slot.bucket];
    Tensor sum = bucket.slots.size() == 1 ? std::move(bucket.flat)
                                          : slice(bucket.flat, 0, slot.begin, slot.begin + slot.shape.size());
    out.push_back({slot.of, std::move(sum).reshape(slot.shape), {}, slot.own.used_by, slot.own.used_at});
  }
}

/// Ready for the next sum. A parameter that was not dense everywhere leaves the buckets, as an embedding's,
/// which in most texts has rows.
void GradientSum::begin_anew(std::span<const Agreed> agreed) {
  bool moved = false;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    moved |= !slot.by_rows && agreed[i] != Agreed::dense;
    slot.by_rows |= agreed[i] != Agreed::dense;
    slot.own = {};
    slot.form = Form::none;
  }
  if (moved) return make_buckets();
  for (Bucket& bucket : buckets_) {
    bucket.missing = bucket.slots.size();
    bucket.state = Bucket::State::waits;
    bucket.flat = Tensor();
  }
}

Gradients GradientSum::finish(Gradients rest) {
  if (all_.alone()) return finish_alone(std::move(rest));
  const Clock::time_point begun = Clock::now();
  GradientList out;
  for (Gradient& gradient : rest.entries()) {
    if (!take(gradient)) out.push_back(std::move(gradient));
  }
  for (Bucket& bucket : buckets_) {
    if (bucket.missing > 0) begin(bucket);
  }
  const std::vector<Agreed> agreed = agree();
  const Clock::time_point waiting = Clock::now();
  all_.wait_until([&] { return progress(); }, [&] { return waited_for(); });
  waited_ += seconds_since(waiting);
  take_sums(agreed, out);
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (agreed[i] != Agreed::none && (slots_[i].by_rows || agreed[i] != Agreed::dense)) others.push_back(i);
  }
  gather(others, out);
  begin_anew(agreed);
  spent_ += seconds_since(begun);
  return Gradients(std::move(out));
}

Gradients GradientSum::finish_alone(Gradients rest) {
  GradientList out;
  for (Slot& slot : slots_) {
    if (slot.form != Form::none) out.push_back(std::move(slot.own));
    slot.own = {};
    slot.form = Form::none;
  }
  for (Gradient& gradient : rest.entries()) out.push_back(std::move(gradient));
  Gradients sum(std::move(out));
  if (factor_ != 1) sum *= factor_;
  return sum;
}

}  // namespace gradus::distributed
