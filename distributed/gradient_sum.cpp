#include "distributed/gradient_sum.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <set>
#include <tuple>
#include <utility>

#include "optim/gradient_tree.hpp"
#include "tensor/ops.hpp"

namespace gradus::distributed {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t least_bucket_bytes = std::int64_t{1} << 20,
                       most_buckets = 4000;            // of which each has two tags
constexpr std::int64_t block = std::int64_t{1} << 14;  // elements that are added at once
constexpr std::int64_t align = 64;                     // elements; shares begin at whole lines of the cache
constexpr int nobody = -1;                             // the owner of what all add up a share of, and get

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

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

/// Moves the first bytes over, which are there, as processes that are alike sent them.
void take_from(std::span<const std::byte>& left, std::span<std::byte> to) {
  std::ranges::copy(left.first(to.size()), to.begin());
  left = left.subspan(to.size());
}

/// Writes rows of a parameter, whose first element is `begin` of a flat tensor, which has each id once.
void set_rows(Tensor& flat, std::int64_t begin, const Rows& rows) {
  if (rows.ids.size() == 0) return;
  const std::int64_t width = rows.values.size() / rows.ids.size();
  for (std::int64_t k = 0; k < rows.ids.size(); ++k)
    copy(rows.values, k * width, flat, begin + rows.ids.values()[static_cast<std::size_t>(k)] * width, width);
}

}  // namespace

/// A parameter, and its gradient in this process.
struct GradientSum::Slot {
  Parameter* parameter;
  int owner;
  Place of;
  Shape shape;
  Dtype dtype;
  Gradient own = {};
  Form form = Form::none;
  bool by_rows = false;  // not among the buckets, since not every process had it dense the last time
  std::size_t bucket = 0;
  std::int64_t begin = 0;  // in the bucket
};

/// What a process has of each parameter in a sum.
struct GradientSum::Told {
  std::vector<Form> forms;
  std::vector<Indices> ids;  // of the rows, where it has those
};

/// Gradients that travel together: one large one, or several small ones.
struct GradientSum::Bucket {
  std::vector<std::size_t> slots;
  int owner = nobody;
  std::int64_t size = 0;
  Dtype dtype = Dtype::f32;
  std::size_t missing = 0;  // slots whose gradients have not come
  enum class State { waits, shares, sums, done } state = State::waits;
  Tensor flat;               // this process's gradients, and in their place the sums
  std::vector<Tensor> came;  // this process's share, from each other process
  Transfers transfers;

  /// Where the share begins that a process adds up: an owner's is everything.
  std::int64_t begin_of(int rank, int size_of_all) const {
    if (owner != nobody) return rank <= owner ? 0 : size;
    const std::int64_t step = (size + size_of_all - 1) / size_of_all;
    const std::int64_t aligned = (step + align - 1) / align * align;
    return std::min(size, rank * aligned);
  }
};

GradientSum::~GradientSum() {
  all_.release(this);
}

GradientSum::GradientSum(Communicator all, const ParameterView& parameters, double factor,
                         std::span<const int> owners)
    : all_(std::move(all)), factor_(factor) {
  if (!std::has_single_bit(static_cast<unsigned>(all_.size())))
    fail<ArgumentError>(
        "gradients of {} processes; they are added in a binary tree: start 1, 2, 4, 8 and so on",
        all_.size());
  const auto& parts = parameters.parts();
  if (!owners.empty() && owners.size() != parts.size())
    fail<ArgumentError>("{} owners of {} parameters; give one for each", owners.size(), parts.size());
  for (std::size_t i = parts.size(); i-- > 0;) {  // backward comes to the last layers first
    Parameter& parameter = *parts[i].second;
    const int owner = owners.empty() ? nobody : owners[i];
    if (!owners.empty() && (owner < 0 || owner >= all_.size()))
      fail<ArgumentError>("process {} is the owner of {}; there are {}", owner, parts[i].first, all_.size());
    if (parameter.is_constant()) {
      frozen_.emplace_back(parts[i].first, &parameter);
      continue;
    }
    if (!slot_of_.emplace(parameter.place(), slots_.size()).second) continue;
    slots_.push_back({&parameter, owner, parameter.place(), parameter.shape(), parameter.dtype()});
  }
  require_alike();
  make_buckets();
}

/// Messages of other lengths than are waited for would be lost.
void GradientSum::require_alike() const {
  const auto check = [&](const char* what, auto text_of) {
    std::string own;
    for (const Slot& slot : slots_) own += text_of(slot) + "; ";
    const std::vector<std::string> all = all_.gather_all(own);
    for (std::size_t r = 0; r < all.size(); ++r) {
      if (all[r] != own)
        fail<DataError>("{} has {} than {}; start them alike", all_.name(static_cast<int>(r)), what,
                        all_.name(all_.rank()));
    }
  };
  check("a model of other parameters",
        [](const Slot& slot) { return fmt::format("{} {}", name_of(slot.dtype), slot.shape); });
  check("other owners of the parameters, or none,",
        [](const Slot& slot) { return std::to_string(slot.owner); });
}

/// Of two sums at once, messages would be taken for each other's.
void GradientSum::begin_sum() {
  if (begun_) return;
  for (const auto& [path, parameter] : frozen_) {
    if (!parameter->is_constant())
      fail<ArgumentError>("{} was frozen when this GradientSum was made; make a new one after unfreeze()",
                          path);
  }
  if (!all_.hold(this))
    fail<ArgumentError>("two GradientSums of the same processes at once; finish one before the other begins");
  begun_ = true;
}

void GradientSum::make_buckets() {
  buckets_.clear();
  std::int64_t total = 0;
  for (const Slot& slot : slots_)
    total += slot.shape.size() * static_cast<std::int64_t>(bytes_of(slot.dtype));
  const std::int64_t bucket_bytes = std::max(least_bucket_bytes, total / most_buckets);
  std::map<std::pair<Dtype, int>, std::size_t> open;  // the bucket that small ones of a dtype and owner go to
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.by_rows) continue;
    const std::int64_t bytes = slot.shape.size() * static_cast<std::int64_t>(bytes_of(slot.dtype));
    const bool large = bytes >= bucket_bytes;
    const std::pair kind(slot.dtype, slot.owner);
    const auto found = open.find(kind);
    if (large || found == open.end()) {
      slot.bucket = buckets_.size();
      Bucket& made = buckets_.emplace_back();
      std::tie(made.dtype, made.owner) = kind;
      if (!large) open[kind] = slot.bucket;
    } else {
      slot.bucket = found->second;
    }
    Bucket& bucket = buckets_[slot.bucket];
    slot.begin = bucket.size;
    bucket.size += slot.shape.size();
    bucket.slots.push_back(i);
    bucket.missing = bucket.slots.size();
    if (!large && bucket.size * static_cast<std::int64_t>(bytes_of(bucket.dtype)) >= bucket_bytes)
      open.erase(kind);
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
  if (!all_.alone() && slot_of_.contains(gradient.of)) begin_sum();
  if (take(gradient) && !all_.alone()) progress();
  spent_ += seconds_since(begun);
}

int GradientSum::tag_of(const Bucket& bucket) const {
  return Communicator::first_library_tag + 16 + 2 * static_cast<int>(&bucket - buckets_.data());
}

/// One that is alone is the bucket, without a copy. Where a process has no gradient, or not of these rows, -0
/// stands, which changes no number that it is added to, 0 neither.
Tensor GradientSum::flat_of(const Bucket& bucket) {
  Slot& first = slots_[bucket.slots.front()];
  if (bucket.slots.size() == 1 && first.form == Form::dense) {
    return std::exchange(first.own.dense, Tensor());
  }
  Tensor out = full(bucket.slots.size() == 1 ? first.shape : Shape{bucket.size}, -0.0, bucket.dtype);
  for (const std::size_t i : bucket.slots) {
    const Slot& slot = slots_[i];
    if (slot.form == Form::dense) copy(slot.own.dense, 0, out, slot.begin, slot.shape.size());
    if (slot.form == Form::rows) set_rows(out, slot.begin, slot.own.rows);
  }
  return out;
}

/// Sends each process its share, and receives this one's from all.
void GradientSum::begin(Bucket& bucket) {
  const int tag = tag_of(bucket), own = all_.rank(), size = all_.size();
  bucket.flat = flat_of(bucket);
  const Bucket& sent = bucket;
  const std::int64_t share = bucket.begin_of(own + 1, size) - bucket.begin_of(own, size);
  bucket.came.assign(static_cast<std::size_t>(size), Tensor());
  for (int r = 0; r < size; ++r) {
    if (r == own) continue;
    Tensor& came = bucket.came[static_cast<std::size_t>(r)] = Tensor::uninitialized(
        {(share + block - 1) / block, block}, bucket.dtype);  // longer than an axis may be
    const std::int64_t from = bucket.begin_of(r, size), to = bucket.begin_of(r + 1, size);
    if (share > 0) all_.receive(part_of(came, 0, share), r, tag, bucket.transfers);
    if (to > from) all_.send(part_of(sent.flat, from, to - from), r, tag, bucket.transfers);
  }
  bucket.state = Bucket::State::shares;
}

/// Adds the shares that came to the own part of `flat`, by blocks that stay in a near cache, so that each
/// number is read and written once.
void GradientSum::add_shares(Bucket& bucket, std::int64_t begin, std::int64_t share) const {
  bucket.came[static_cast<std::size_t>(all_.rank())] = Tensor();
  for (std::int64_t at = 0; at < share; at += block) {
    const std::int64_t end = std::min(share, at + block);
    std::vector<Tensor> parts;
    for (const Tensor& came : bucket.came)
      parts.push_back(came.defined() ? came.part(at, {end - at}) : bucket.flat.part(begin + at, {end - at}));
    for (std::size_t step = 1; step < parts.size(); step *= 2) {
      for (std::size_t r = 0; r + step < parts.size(); r += 2 * step)
        parts[r] = std::move(parts[r]) + parts[r + step];
    }
    parts.resize(1);  // what is written to is then nobody else's, and not copied
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
  if (bucket.owner != nobody) {
    bucket.state = Bucket::State::done;
    return;
  }
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
  return bucket.state == Bucket::State::done;
}

bool GradientSum::progress() {
  bool all_done = true;
  for (Bucket& bucket : buckets_) all_done &= progress(bucket);
  return all_done;
}

/// What the processes have of each parameter.
void GradientSum::agree() {
  std::vector<std::byte> own;
  for (const Slot& slot : slots_) own.push_back(static_cast<std::byte>(slot.form));
  for (const Slot& slot : slots_) {
    if (slot.form != Form::rows) continue;
    const std::int64_t count = slot.own.rows.ids.size();
    append(own, std::as_bytes(std::span(&count, 1)));
    append(own, std::as_bytes(slot.own.rows.ids.values()));
  }
  told_.clear();
  for (const std::vector<std::byte>& bytes : all_.gather_all(std::span<const std::byte>(own))) {
    Told& told = told_.emplace_back();
    std::span<const std::byte> left(bytes);
    told.ids.resize(slots_.size());
    for (std::size_t i = 0; i < slots_.size(); ++i) told.forms.push_back(static_cast<Form>(left[i]));
    left = left.subspan(slots_.size());
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (told.forms[i] != Form::rows) continue;
      std::int64_t count = 0;
      take_from(left, std::as_writable_bytes(std::span(&count, 1)));
      std::vector<std::int32_t> ids(static_cast<std::size_t>(count));
      take_from(left, std::as_writable_bytes(std::span(ids)));
      told.ids[i] = Indices(std::move(ids));
    }
  }
  agreed_.clear();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const auto have = [&](Form form) {
      return std::ranges::count(told_, form, [&](const Told& told) { return told.forms[i]; });
    };
    agreed_.push_back(have(Form::none) == all_.size()    ? Agreed::none
                      : have(Form::dense) == all_.size() ? Agreed::dense
                      : have(Form::dense) > 0            ? Agreed::mixed
                                                         : Agreed::rows);
  }
}

int GradientSum::waited_for() const {
  for (const Bucket& bucket : buckets_) {
    if (!bucket.transfers.empty()) return all_.first_peer(bucket.transfers);
  }
  return -1;
}

/// Whether this process gets the sum of it.
bool GradientSum::gets(const Slot& slot) const {
  return slot.owner == nobody || slot.owner == all_.rank();
}

/// The sums of gradients that not all have dense, of which everything goes to everybody that gets the sum.
void GradientSum::gather(std::span<const std::size_t> slots, GradientList& out) {
  constexpr int tag = Communicator::first_library_tag + 9;  // in the order of the slots
  const auto size = static_cast<std::size_t>(all_.size()), own = static_cast<std::size_t>(all_.rank());
  std::vector<std::vector<Gradient>> parts(slots.size(), std::vector<Gradient>(size));  // from each process
  Transfers transfers;
  for (std::size_t k = 0; k < slots.size(); ++k) {
    const Slot& slot = slots_[slots[k]];
    parts[k][own] = slot.own;
    for (std::size_t r = 0; r < size; ++r) {
      if (r == own) continue;
      const Tensor& sent = slot.own.values();
      const bool gets_it = slot.owner == nobody || slot.owner == static_cast<int>(r);
      if (gets_it && sent.defined() && sent.size() > 0)
        all_.send(part_of(sent, 0, sent.size()), static_cast<int>(r), tag, transfers);
      if (!gets(slot)) continue;
      Gradient& part = parts[k][r] = uninitialized_part(slots[k], r);
      Tensor& values = part.values();
      if (values.defined() && values.size() > 0)
        all_.receive(part_of(values, 0, values.size()), static_cast<int>(r), tag, transfers);
    }
  }
  all_.wait(transfers);
  for (std::size_t k = 0; k < slots.size(); ++k) {
    if (!gets(slots_[slots[k]])) continue;
    optim::GradientTree tree;
    for (Gradient& part : parts[k]) {
      GradientList one;
      if (part.values().defined()) one.push_back(std::move(part));
      tree.add(Gradients(std::move(one)));
    }
    Gradients sums = tree.take();
    if (factor_ != 1) sums *= factor_;
    for (Gradient& sum : sums.entries()) out.push_back(std::move(sum));
  }
}

/// A gradient as a process has told of it, without its values.
Gradient GradientSum::uninitialized_part(std::size_t i, std::size_t rank) const {
  const Slot& slot = slots_[i];
  Gradient out{slot.of, {}, {}, slot.own.used_by, slot.own.used_at};
  const Indices& ids = told_[rank].ids[i];
  switch (told_[rank].forms[i]) {
    case Form::none:
      break;
    case Form::dense:
      out.dense = Tensor::uninitialized(slot.shape, slot.dtype);
      break;
    case Form::rows:
      out.rows = {ids, Tensor::uninitialized(slot.shape.with(0, ids.size()), slot.dtype), slot.shape[0]};
  }
  return out;
}

/// Whether the sum is that of a bucket: not where all that have a gradient have rows, as the sum has.
bool GradientSum::is_in_bucket(std::size_t i) const {
  return !slots_[i].by_rows && (agreed_[i] == Agreed::dense || agreed_[i] == Agreed::mixed);
}

/// The sums that came by the buckets.
void GradientSum::take_sums(GradientList& out) {
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!is_in_bucket(i) || !gets(slot)) continue;
    Bucket& bucket = buckets_[slot.bucket];
    Tensor sum = bucket.slots.size() == 1 ? std::move(bucket.flat)
                                          : slice(bucket.flat, 0, slot.begin, slot.begin + slot.shape.size());
    out.push_back({slot.of, std::move(sum).reshape(slot.shape), {}, slot.own.used_by, slot.own.used_at});
  }
}

/// Ready for the next sum. A parameter that was not dense everywhere leaves the buckets, as an embedding's,
/// which in most texts has rows.
void GradientSum::begin_anew() {
  bool moved = false;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    moved |= !slot.by_rows && agreed_[i] != Agreed::dense;
    slot.by_rows |= agreed_[i] != Agreed::dense;
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
  begin_sum();
  GradientList out;
  for (Gradient& gradient : rest.entries()) {
    if (!take(gradient)) out.push_back(std::move(gradient));
  }
  for (Bucket& bucket : buckets_) {
    if (bucket.missing > 0) begin(bucket);
  }
  agree();
  const Clock::time_point waiting = Clock::now();
  all_.wait_until([&] { return progress(); }, [&] { return waited_for(); });
  waited_ += seconds_since(waiting);
  take_sums(out);
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (agreed_[i] != Agreed::none && !is_in_bucket(i)) others.push_back(i);
  }
  gather(others, out);
  begin_anew();
  all_.release(this);
  begun_ = false;
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

std::vector<std::pair<Place, double>> GradientSum::of_each(const Gradients& sums,
                                                           FunctionRef<double(const Gradient&)> f) const {
  struct Found {
    std::size_t slot;
    double value;
  };
  std::vector<Found> own;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Gradient* const sum = gets(slots_[i]) ? sums.find(slots_[i].of) : nullptr;
    if (sum != nullptr) own.push_back({i, f(*sum)});
  }
  std::map<Place, double> found;  // of those that all get, the values are alike
  for (const auto& bytes : all_.gather_all(std::as_bytes(std::span(own)))) {
    for (std::span<const std::byte> left(bytes); !left.empty();) {
      Found one{};
      take_from(left, std::as_writable_bytes(std::span(&one, 1)));
      found[slots_.at(one.slot).of] = one.value;
    }
  }
  return {found.begin(), found.end()};
}

double GradientSum::norm(const Gradients& sums) const {
  return norm_by([&](FunctionRef<double(const Gradient&)> f) {
    NumberList out;
    for (const auto& [place, value] : of_each(sums, f)) out.push_back(value);
    return out;
  });
}

void GradientSum::share(bool by_rows) {
  if (all_.alone()) return;
  const Clock::time_point begun = Clock::now();
  Transfers transfers;
  std::vector<std::size_t> rows;
  for (std::size_t i = 0; i < agreed_.size(); ++i) {
    if (agreed_[i] == Agreed::none || slots_[i].owner == nobody) continue;
    if (agreed_[i] == Agreed::rows && by_rows) {
      rows.push_back(i);
    } else {
      share_whole(slots_[i], transfers);
    }
  }
  share_rows(rows);
  all_.wait(transfers);
  spent_ += seconds_since(begun);
}

/// From where it is to where it should be.
void GradientSum::share_whole(Slot& slot, Transfers& transfers) {
  constexpr int tag = Communicator::first_library_tag + 8;  // in the order of the slots
  Tensor& value = slot.parameter->mutable_value();
  if (value.size() == 0) return;
  if (slot.owner != all_.rank()) {
    all_.receive(part_of(value, 0, value.size()), slot.owner, tag, transfers);
    return;
  }
  for (int r = 0; r < all_.size(); ++r) {
    if (r != all_.rank()) all_.send(part_of(std::as_const(value), 0, value.size()), r, tag, transfers);
  }
}

/// The rows that gradients have, of this process's own parameters to all others, and theirs from them.
void GradientSum::share_rows(std::span<const std::size_t> slots) {
  constexpr int tag = Communicator::first_library_tag + 10;  // in the order of the slots
  std::vector<Rows> rows;
  Transfers transfers;
  for (const std::size_t i : slots) {
    const Slot& slot = slots_[i];
    const Indices ids = all_ids(i);
    const bool own = slot.owner == all_.rank();
    rows.push_back({ids,
                    own ? gather_rows(slot.parameter->value(), ids)
                        : Tensor::uninitialized(slot.shape.with(0, ids.size()), slot.dtype),
                    slot.shape[0]});
    Tensor& values = rows.back().values;
    if (values.size() == 0) continue;
    if (!own) all_.receive(part_of(values, 0, values.size()), slot.owner, tag, transfers);
    for (int r = 0; own && r < all_.size(); ++r) {
      if (r != slot.owner) all_.send(part_of(std::as_const(values), 0, values.size()), r, tag, transfers);
    }
  }
  all_.wait(transfers);
  for (std::size_t k = 0; k < slots.size(); ++k) {
    const Slot& slot = slots_[slots[k]];
    if (slot.owner != all_.rank()) set_rows(slot.parameter->mutable_value(), 0, rows[k]);
  }
}

/// The rows that a parameter's gradient has in any process, each once.
Indices GradientSum::all_ids(std::size_t i) const {
  std::set<std::int32_t> out;
  for (const Told& told : told_) out.insert(told.ids[i].values().begin(), told.ids[i].values().end());
  return Indices(std::vector<std::int32_t>(out.begin(), out.end()));
}

}  // namespace gradus::distributed
