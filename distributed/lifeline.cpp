#include "distributed/lifeline.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>

namespace gradus::distributed {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double seconds_to_meet = 20;
// What processes tell each other at their ends; and rank 0 the rank of one that is lost, with `explained` if
// that one told the user why.
constexpr std::int32_t goodbye = -1, failed = -2, explained_bit = 1 << 30;

/// What a process says first: that it belongs to this job, and its rank.
struct Greeting {
  std::uint64_t token = 0;
  std::int32_t rank = 0;
};

double seconds_until(Clock::time_point end) {
  return std::chrono::duration<double>(end - Clock::now()).count();
}

bool send_whole(int socket, const void* data, std::size_t size) {
  return ::send(socket, data, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
}

/// Reads so many bytes, or fails at the time given.
bool receive_whole(int socket, void* data, std::size_t size, Clock::time_point end) {
  auto* to = static_cast<char*>(data);
  while (size > 0) {
    pollfd one{socket, POLLIN, 0};
    const int left = static_cast<int>(seconds_until(end) * 1000);
    if (left <= 0 || ::poll(&one, 1, left) <= 0) return false;
    const ssize_t got = ::recv(socket, to, size, 0);
    if (got <= 0) return false;
    to += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

/// The addresses that others may reach this machine by, the loopback last.
std::vector<in_addr> own_addresses() {
  std::vector<in_addr> out;
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) == 0) {
    for (const ifaddrs* at = first; at != nullptr; at = at->ifa_next) {
      if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) continue;
      sockaddr_in address{};
      std::memcpy(&address, at->ifa_addr, sizeof address);
      if (address.sin_addr.s_addr != htonl(INADDR_LOOPBACK)) out.push_back(address.sin_addr);
    }
    ::freeifaddrs(first);
  }
  out.push_back({htonl(INADDR_LOOPBACK)});
  return out;
}

/// A connection, or -1. One that is refused or unreachable is given up at once, a silent one after 2 seconds.
int connected(in_addr host, std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket < 0) return -1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr = host;
  int error = 0;
  socklen_t size = sizeof error;
  pollfd one{socket, POLLOUT, 0};
  const bool begun = ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
                     errno == EINPROGRESS;
  if (!begun || ::poll(&one, 1, 2000) != 1 ||
      ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
    ::close(socket);
    return -1;
  }
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) & ~O_NONBLOCK);
  return socket;
}

/// A machine that is switched off closes nothing: the system asks after a minute of silence, three times.
void keep_alive(int socket) {
  const auto set = [&](int level, int option, int value) {
    ::setsockopt(socket, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

}  // namespace

std::string Lifeline::listen(int& socket) {
  socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof address;
  std::uint64_t token = 0;
  if (socket < 0 || ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket, 1024) != 0 ||
      ::getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      ::getrandom(&token, sizeof token, 0) != sizeof token) {
    return {};
  }
  std::ostringstream contact;
  contact << token << ' ' << ntohs(address.sin_port);
  for (const in_addr one : own_addresses()) contact << ' ' << one.s_addr;
  return contact.str();
}

bool Lifeline::accept(int socket, const std::string& contact, int size) {
  std::uint64_t token = 0;
  std::istringstream(contact) >> token;
  sockets_.assign(static_cast<std::size_t>(size), -1);
  const Clock::time_point end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                                   std::chrono::duration<double>(seconds_to_meet));
  for (int missing = size - 1; missing > 0;) {
    pollfd one{socket, POLLIN, 0};
    const int left = static_cast<int>(seconds_until(end) * 1000);
    if (left <= 0 || ::poll(&one, 1, left) <= 0) break;
    const int came = ::accept4(socket, nullptr, nullptr, SOCK_CLOEXEC);
    Greeting hello;
    if (came < 0) continue;
    // A stranger is not waited for longer than a second.
    if (receive_whole(came, &hello, sizeof hello, Clock::now() + std::chrono::seconds(1)) &&
        hello.token == token && hello.rank > 0 && hello.rank < size &&
        sockets_[static_cast<std::size_t>(hello.rank)] < 0) {
      keep_alive(came);
      sockets_[static_cast<std::size_t>(hello.rank)] = came;
      --missing;
    } else {
      ::close(came);
    }
  }
  ::close(socket);
  for (std::size_t i = 1; i < sockets_.size(); ++i) {
    if (sockets_[i] < 0) return false;
  }
  return true;
}

bool Lifeline::connect(const std::string& contact, int rank) {
  Greeting hello;
  hello.rank = rank;
  std::uint16_t port = 0;
  in_addr_t host = 0;
  std::istringstream from(contact);
  from >> hello.token >> port;
  while (from >> host) {
    const int socket = connected({host}, port);
    if (socket < 0) continue;
    if (send_whole(socket, &hello, sizeof hello)) {
      keep_alive(socket);
      sockets_ = {socket};
      return true;
    }
    ::close(socket);
  }
  return false;
}

bool Lifeline::start(int rank, int size) {
  gone_ = std::make_unique<std::atomic<bool>[]>(static_cast<std::size_t>(size));
  open_.assign(sockets_.size(), true);
  if (rank == 0) open_[0] = false;
  if (::pipe2(wake_, O_CLOEXEC) != 0) return false;
  thread_ = std::thread([this, rank] { watch(rank); });
  return true;
}

void Lifeline::note(int rank, bool explained) {
  gone_[static_cast<std::size_t>(rank)].store(true, std::memory_order_release);
  if (lost() >= 0) return;  // the first one is the cause
  explained_.store(explained, std::memory_order_release);
  lost_.store(rank, std::memory_order_release);
}

/// A connection has ended. Those of rank 0 are to all others, and it tells them.
void Lifeline::note_end(std::size_t i, bool explained, int own_rank) {
  note(static_cast<int>(i), explained);
  const std::int32_t gone = static_cast<std::int32_t>(i) | (explained ? explained_bit : 0);
  for (std::size_t other = 0; own_rank == 0 && other < sockets_.size(); ++other) {
    if (open_[other]) send_whole(sockets_[other], &gone, sizeof gone);
  }
}

void Lifeline::watch(int rank) {
  std::vector<pollfd> all;
  for (;;) {
    all.assign(1, {wake_[0], POLLIN, 0});
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      if (!open_[i]) continue;
      all.push_back({sockets_[i], POLLIN, 0});
      which.push_back(i);
    }
    if (::poll(all.data(), all.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return;
    }
    if (all[0].revents != 0) return;
    for (std::size_t k = 0; k < which.size(); ++k) {
      if (all[k + 1].revents == 0) continue;
      const std::size_t i = which[k];
      std::int32_t said = 0;
      const bool spoke = ::recv(sockets_[i], &said, sizeof said, MSG_WAITALL) == sizeof said;
      if (spoke && said >= 0) {
        note(said & ~explained_bit, (said & explained_bit) != 0);
        continue;
      }
      open_[i] = false;
      if (!spoke || said == failed) note_end(i, spoke, rank);
    }
  }
}

void Lifeline::fail() {
  failed_ = true;
  for (const int socket : sockets_) {
    if (socket >= 0) send_whole(socket, &failed, sizeof failed);
  }
}

Lifeline::~Lifeline() {
  for (const int socket : sockets_) {
    if (socket >= 0 && !failed_) send_whole(socket, &goodbye, sizeof goodbye);
  }
  if (thread_.joinable()) {
    static_cast<void>(::write(wake_[1], "", 1) == 1);
    thread_.join();
  }
  for (const int socket : sockets_) {
    if (socket >= 0) ::close(socket);
  }
  for (const int end : wake_) {
    if (end >= 0) ::close(end);
  }
}

}  // namespace gradus::distributed
