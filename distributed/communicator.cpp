#include "distributed/communicator.hpp"

#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <thread>
#include <utility>

#include "distributed/lifeline.hpp"
#include "tensor/support/launcher.hpp"

namespace gradus::distributed {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t longest_message = std::size_t{1} << 30;  // MPI counts in an int
constexpr int tag_of_heads = Communicator::first_library_tag, tag_of_bytes = tag_of_heads + 1,
              tag_of_saved = tag_of_heads + 2;
// How long others may take to save what they have, after one is lost.
// It is shorter where rank 1 saves, since nobody but rank 0 would notice its end.
constexpr int seconds_for_rank_0 = 600, seconds_for_rank_1 = 60;

void require(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  fail<DataError>("{}: {}; is the MPI that this program was built with the one that started it?", call,
                  std::string(text.data(), static_cast<std::size_t>(length)));
}

std::string host_name() {
  std::array<char, 256> text{};
  return ::gethostname(text.data(), text.size() - 1) == 0 ? std::string(text.data()) : "an unknown machine";
}

/// What comes before the bytes of an exchange.
struct Head {
  std::uint64_t length = 0;
  std::int64_t word = 0;
};

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

bool started_by_launcher() {
  return launched().by_launcher;
}

struct Transfers::Impl {
  std::vector<MPI_Request> requests;
  std::vector<int> peers;
  std::vector<bool> receives;
};

Transfers::Transfers() : impl_(std::make_unique<Impl>()) {}
Transfers::Transfers(Transfers&&) noexcept = default;
Transfers& Transfers::operator=(Transfers&& other) noexcept {
  std::swap(impl_, other.impl_);
  return *this;
}
/// What was left, as an error came between, must not be written to memory that is another's by then.
Transfers::~Transfers() {
  if (impl_ == nullptr) return;
  for (std::size_t i = 0; i < impl_->requests.size(); ++i) {
    if (impl_->receives[i]) MPI_Cancel(&impl_->requests[i]);
    MPI_Request_free(&impl_->requests[i]);
  }
}
bool Transfers::empty() const {
  return impl_->requests.empty();
}

struct Communicator::Impl {
  MPI_Comm comm = MPI_COMM_NULL;  // of our own, beside what a program sends by MPI itself
  bool begun_here = false;
  int rank = 0, size = 1;
  std::vector<std::string> names;
  std::unique_ptr<Lifeline> lifeline;
  std::function<void(const std::string&)> notice;
  double notice_after = 10;
  const void* holder = nullptr;

  ~Impl() {
    const bool in_order = (!lifeline || lifeline->lost() < 0) && std::uncaught_exceptions() == 0;
    if (!in_order && lifeline && lifeline->lost() < 0) lifeline->fail();
    lifeline.reset();
    int begun = 0, ended = 0;
    MPI_Initialized(&begun);
    MPI_Finalized(&ended);
    if (begun == 0 || ended != 0 || !in_order) return;
    if (comm != MPI_COMM_NULL) MPI_Comm_free(&comm);
    if (begun_here) MPI_Finalize();
  }
};

namespace {

/// Connects everybody to rank 0. Where that fails on one of them, none watches.
std::unique_ptr<Lifeline> make_lifeline(MPI_Comm comm, int rank, int size) {
  int socket = -1;
  std::array<char, 4096> contact{};
  if (rank == 0) {
    const std::string own = Lifeline::listen(socket);
    if (own.size() < contact.size()) std::copy(own.begin(), own.end(), contact.begin());
  }
  require(MPI_Bcast(contact.data(), static_cast<int>(contact.size()), MPI_CHAR, 0, comm), "MPI_Bcast");
  if (contact[0] == '\0') return nullptr;
  auto out = std::make_unique<Lifeline>();
  int met =
      (rank == 0 ? out->accept(socket, contact.data(), size) : out->connect(contact.data(), rank)) ? 1 : 0;
  int all = 0;
  require(MPI_Allreduce(&met, &all, 1, MPI_INT, MPI_MIN, comm), "MPI_Allreduce");
  if (all == 0) return nullptr;
  met = out->start(rank, size) ? 1 : 0;
  require(MPI_Allreduce(&met, &all, 1, MPI_INT, MPI_MIN, comm), "MPI_Allreduce");
  return all == 0 ? nullptr : std::move(out);
}

}  // namespace

Communicator Communicator::world() {
  static std::weak_ptr<Impl> known;
  if (auto impl = known.lock()) return Communicator(std::move(impl));
  auto impl = std::make_shared<Impl>();
  if (started_by_launcher()) {
    int ended = 0, provided = 0;
    MPI_Finalized(&ended);
    if (ended != 0) fail<DataError>("MPI was ended; keep the Communicator as long as it is needed");
    int begun = 0;
    MPI_Initialized(&begun);
    impl->begun_here = begun == 0;
    if (begun == 0) require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init");
    require(MPI_Comm_dup(MPI_COMM_WORLD, &impl->comm), "MPI_Comm_dup");
    MPI_Comm_set_errhandler(impl->comm, MPI_ERRORS_RETURN);
    MPI_Comm_rank(impl->comm, &impl->rank);
    MPI_Comm_size(impl->comm, &impl->size);
    if (impl->size == 1 && launched().size > 1) {
      fail<DataError>(
          "the launcher says that it started {} processes, and MPI that this one is alone; start them by the "
          "launcher of the MPI that this program was built with",
          launched().size);
    }
    if (impl->size > 1) impl->lifeline = make_lifeline(impl->comm, impl->rank, impl->size);
  }
  known = impl;
  Communicator out(impl);
  impl->names =
      out.gather_all(fmt::format("rank {} (process {} on {})", impl->rank, ::getpid(), host_name()));
  return out;
}

int Communicator::rank() const {
  return impl_->rank;
}
int Communicator::size() const {
  return impl_->size;
}
std::string Communicator::name(int rank) const {
  const auto i = static_cast<std::size_t>(rank);
  return i < impl_->names.size() ? impl_->names[i] : fmt::format("rank {}", rank);
}
void Communicator::set_notice(std::function<void(const std::string&)> notice, double seconds) {
  impl_->notice = std::move(notice);
  impl_->notice_after = seconds;
}

void Communicator::require_others() const {
  if (alone()) fail<ArgumentError>("there is no other process to send to or receive from");
}

void Communicator::send(std::span<const std::byte> bytes, int to, int tag, Transfers& out) const {
  require_others();
  do {
    const auto part = bytes.first(std::min(bytes.size(), longest_message));
    require(MPI_Isend(part.data(), static_cast<int>(part.size()), MPI_BYTE, to, tag, impl_->comm,
                      &out.impl_->requests.emplace_back(MPI_REQUEST_NULL)),
            "MPI_Isend");
    out.impl_->peers.push_back(to);
    out.impl_->receives.push_back(false);
    bytes = bytes.subspan(part.size());
  } while (!bytes.empty());
}

void Communicator::receive(std::span<std::byte> bytes, int from, int tag, Transfers& out) const {
  require_others();
  do {
    const auto part = bytes.first(std::min(bytes.size(), longest_message));
    require(MPI_Irecv(part.data(), static_cast<int>(part.size()), MPI_BYTE, from, tag, impl_->comm,
                      &out.impl_->requests.emplace_back(MPI_REQUEST_NULL)),
            "MPI_Irecv");
    out.impl_->peers.push_back(from);
    out.impl_->receives.push_back(true);
    bytes = bytes.subspan(part.size());
  } while (!bytes.empty());
}

/// MPI may know that a process is gone before its connection has told: which one it is, is for that to say.
void Communicator::fail_unreached(int rank) const {
  for (int i = 0; i < 200 && lost() < 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  check();
  throw RankLost(rank, fmt::format("{} is not reached any more", name(rank)));
}

bool Communicator::done(Transfers& transfers) const {
  auto& [requests, peers, receives] = *transfers.impl_;
  std::size_t left = 0;
  int failed = -1;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    int arrived = 0;
    if (MPI_Test(&requests[i], &arrived, MPI_STATUS_IGNORE) != MPI_SUCCESS && failed < 0) failed = peers[i];
    if (arrived != 0 || requests[i] == MPI_REQUEST_NULL) continue;
    requests[left] = requests[i];
    receives[left] = receives[i];
    peers[left++] = peers[i];
  }
  requests.resize(left);
  peers.resize(left);
  receives.resize(left);
  if (failed >= 0) fail_unreached(failed);
  return left == 0;
}

/// The core is given to others between looks, as there may be more processes than cores.
void Communicator::wait_until(FunctionRef<bool()> arrived, FunctionRef<int()> whom) const {
  const Clock::time_point begun = Clock::now();
  double told = 0;
  for (std::int64_t looks = 0; !arrived(); ++looks) {
    if (looks % 64 != 63) continue;
    check();
    ::sched_yield();
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    if (seconds > 1) std::this_thread::sleep_for(std::chrono::microseconds(200));
    if (impl_->notice && seconds > std::max(impl_->notice_after, 2 * told)) {
      told = seconds;
      impl_->notice(fmt::format("{} has been waited for {:.0f} seconds", name(whom()), seconds));
    }
  }
}

void Communicator::wait(Transfers& transfers) const {
  wait_until([&] { return done(transfers); }, [&] { return first_peer(transfers); });
}

int Communicator::first_peer(const Transfers& transfers) const {
  return transfers.empty() ? -1 : transfers.impl_->peers.front();
}

void Communicator::barrier() const {
  static_cast<void>(gather_all(std::span<const std::byte>()));
}

std::vector<std::byte> Communicator::broadcast(std::span<const std::byte> bytes, int from) const {
  const std::vector<std::span<const std::byte>> to_each(
      static_cast<std::size_t>(size()), rank() == from ? bytes : std::span<const std::byte>());
  return std::move(exchange(to_each)[static_cast<std::size_t>(from)]);
}

std::string Communicator::broadcast(const std::string& text, int from) const {
  return text_of(broadcast(std::as_bytes(std::span(text)), from));
}

std::vector<std::vector<std::byte>> Communicator::gather_all(std::span<const std::byte> own) const {
  return exchange(std::vector<std::span<const std::byte>>(static_cast<std::size_t>(size()), own));
}

std::vector<std::string> Communicator::gather_all(const std::string& own) const {
  std::vector<std::string> out;
  for (const auto& came : gather_all(std::as_bytes(std::span(own)))) out.push_back(text_of(came));
  return out;
}

std::vector<double> Communicator::gather_all(double own) const {
  std::vector<double> out;
  for (const auto& bytes : gather_all(bytes_of(own)))
    std::memcpy(&out.emplace_back(), bytes.data(), sizeof(double));
  return out;
}

std::vector<std::string> Communicator::exchange(std::span<const std::string> to_each) const {
  std::vector<std::span<const std::byte>> bytes;
  for (const std::string& text : to_each) bytes.push_back(std::as_bytes(std::span(text)));
  std::vector<std::string> out;
  for (const auto& came : exchange(bytes)) out.push_back(text_of(came));
  return out;
}

std::vector<std::vector<std::byte>> Communicator::exchange(
    std::span<const std::vector<std::byte>> to_each) const {
  return exchange(std::vector<std::span<const std::byte>>(to_each.begin(), to_each.end()));
}

std::vector<std::vector<std::byte>> Communicator::exchange(
    std::span<const std::span<const std::byte>> to_each) const {
  std::vector<std::int64_t> words(to_each.size());
  return exchange(to_each, 0, words);
}

std::vector<std::vector<std::byte>> Communicator::exchange(
    std::span<const std::span<const std::byte>> to_each, std::int64_t word,
    std::span<std::int64_t> words) const {
  const auto count = static_cast<std::size_t>(size());
  if (to_each.size() != count)
    fail<ArgumentError>("exchange: {} messages for {} processes", to_each.size(), count);
  std::vector<std::vector<std::byte>> out(count);
  std::vector<Head> sent(count), received(count);
  const auto own = static_cast<std::size_t>(rank());
  out[own].assign(to_each[own].begin(), to_each[own].end());
  words[own] = word;
  Transfers heads, content;
  for (std::size_t r = 0; r < count; ++r) {
    if (r == own) continue;
    sent[r] = {to_each[r].size(), word};
    const int peer = static_cast<int>(r);
    receive(std::as_writable_bytes(std::span(&received[r], 1)), peer, tag_of_heads, heads);
    send(bytes_of(sent[r]), peer, tag_of_heads, heads);
    if (!to_each[r].empty()) send(to_each[r], peer, tag_of_bytes, content);
  }
  wait(heads);
  for (std::size_t r = 0; r < count; ++r) {
    if (r == own) continue;
    words[r] = received[r].word;
    if (received[r].length == 0) continue;
    out[r].resize(received[r].length);
    receive(out[r], static_cast<int>(r), tag_of_bytes, content);
  }
  wait(content);
  return out;
}

int Communicator::lost() const {
  return impl_->lifeline ? impl_->lifeline->lost() : -1;
}

int Communicator::saver() const {
  return lost() == 0 ? 1 : 0;
}

bool Communicator::hold(const void* who) const {
  if (impl_->holder == nullptr) impl_->holder = who;
  return impl_->holder == who;
}

void Communicator::release(const void* who) const {
  if (impl_->holder == who) impl_->holder = nullptr;
}

void Communicator::check() const {
  const int gone = lost();
  if (gone >= 0) throw RankLost(gone, fmt::format("{} is gone", name(gone)));
}

bool Communicator::watched() const {
  return impl_->lifeline != nullptr;
}

bool Communicator::explained() const {
  return impl_->lifeline && impl_->lifeline->explained();
}

/// The launcher ends all others when one ends like this, so those who save nothing wait for the one who does.
void Communicator::leave(int exit_code) const {
  std::fflush(nullptr);
  if (!watched() && !alone()) MPI_Abort(impl_->comm, exit_code);  // nobody would hear of it otherwise
  const bool first = lost() < 0;
  if (first && impl_->lifeline) impl_->lifeline->fail();
  const int saves = first && rank() == 0 ? 1 : saver();
  std::byte saved{};
  Transfers words;
  for (int other = 0; rank() == saves && other < size(); ++other) {
    if (other != rank()) send(std::span(&saved, 1), other, tag_of_saved, words);
  }
  if (rank() != saves && !alone()) receive(std::span(&saved, 1), saves, tag_of_saved, words);
  const Clock::time_point begun = Clock::now();
  const auto waits = std::chrono::seconds(rank() == saves ? 1
                                          : saves == 0    ? seconds_for_rank_0
                                                          : seconds_for_rank_1);
  try {
    while (!alone() && !done(words) && Clock::now() - begun < waits && !impl_->lifeline->gone(saves))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
  } catch (const Error&) {  // the one that saves is gone too
  }
  std::_Exit(exit_code);
}

}  // namespace gradus::distributed
