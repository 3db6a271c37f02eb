#include "cli/listener.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>

#include "tensor/support/error.hpp"

namespace gradus::cli {

namespace {

/// Listens at an address with a port, 0 for any that is free, which it becomes. The socket, or -1 with errno.
int listener_at(const addrinfo& one, int& port) {
  sockaddr_storage address{};
  std::memcpy(&address, one.ai_addr, one.ai_addrlen);
  in_port_t& its_port = one.ai_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                                  : reinterpret_cast<sockaddr_in&>(address).sin_port;
  its_port = htons(static_cast<std::uint16_t>(port));
  const int listener = ::socket(one.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, one.ai_protocol);
  if (listener < 0) return -1;
  const int yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (one.ai_family == AF_INET6) ::setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  socklen_t size = one.ai_addrlen;
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, raw, size) == 0 && ::listen(listener, SOMAXCONN) == 0 &&
      ::getsockname(listener, raw, &size) == 0) {
    port = ntohs(its_port);
    return listener;
  }
  const int error = errno;
  ::close(listener);
  errno = error;
  return -1;
}

}  // namespace

std::vector<int> listen_at(const std::string& host, int& port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  const int problem = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (problem != 0) fail<DataError>("{}: no address of this machine ({})", host, ::gai_strerror(problem));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, &::freeaddrinfo);
  int error = 0;
  // A free port of one address may be taken at the next one.
  for (int attempt = 0; attempt < (port == 0 ? 20 : 1); ++attempt) {
    int chosen = port;
    bool taken = false;
    std::vector<int> listeners;
    for (const addrinfo* one = found; one != nullptr && !taken; one = one->ai_next) {
      const int listener = listener_at(*one, chosen);
      if (listener >= 0) {
        listeners.push_back(listener);
      } else {
        error = errno;
        // Another program would answer some of those who ask this name.
        taken = error == EADDRINUSE;
      }
    }
    if (!taken && !listeners.empty()) {
      port = chosen;
      return listeners;
    }
    for (const int listener : listeners) ::close(listener);
    if (!taken) break;
  }
  fail<DataError>("{} port {}: {}; give another --port, or 0 for one that is free", host, port,
                  std::strerror(error));
}

std::size_t possible_connections(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::min<std::size_t>(wanted, 500);
  constexpr rlim_t others = 100;
  if (limit.rlim_cur < wanted + others) {
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted + others);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    ::getrlimit(RLIMIT_NOFILE, &limit);
  }
  return limit.rlim_cur > 2 * others ? std::min<std::size_t>(wanted, limit.rlim_cur - others) : others / 2;
}

}  // namespace gradus::cli
