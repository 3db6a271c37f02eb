#ifdef GRADUS_SERVER
#include "cli/http_server.hpp"

#include <httplib.h>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "cli/usage.hpp"
#include "tensor/support/error.hpp"

namespace gradus::cli {

namespace {

using Clock = std::chrono::steady_clock;

/// Waits until a connection can be written to; false when it is too late or `stop` is set.
bool wait_to_write(int connection, Clock::time_point until, const std::atomic<bool>& stop) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    const bool last = stop || left <= 0;  // what can be written at once still is
    pollfd one{connection, POLLOUT, 0};
    const int found = ::poll(&one, 1, last ? 0 : static_cast<int>(std::min<long>(left, 200)));
    if (found > 0) return (one.revents & POLLOUT) != 0;
    if (last || (found < 0 && errno != EINTR)) return false;
  }
}

/// A request that is there, and the connection that its answer goes to, as the library sees them. What later
/// versions of the library ask of a stream is here too.
class Connection final : public httplib::Stream {
 public:
  Connection(int descriptor, const std::string& request, Clock::time_point until,
             const std::atomic<bool>& stop)
      : descriptor_(descriptor), left_(request), until_(until), stop_(stop) {}

  bool is_readable() const override { return !left_.empty(); }
  bool is_writable() const override {
    // An answer that is written piece by piece ends when the client has gone.
    pollfd one{descriptor_, POLLOUT, 0};
    return ::poll(&one, 1, 0) >= 0 && (one.revents & (POLLERR | POLLHUP)) == 0;
  }
  bool wait_readable() const { return is_readable(); }
  bool wait_writable() const { return is_writable(); }

  ssize_t read(char* to, std::size_t size) override {
    const std::size_t count = std::min(size, left_.size());
    std::copy_n(left_.data(), count, to);
    left_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, std::size_t size) override {
    for (std::size_t done = 0; done < size;) {
      if (!wait_to_write(descriptor_, until_, stop_)) return -1;
      const ssize_t count = ::send(descriptor_, from + done, size - done, MSG_NOSIGNAL);
      if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (count <= 0) return -1;
      done += static_cast<std::size_t>(count);
    }
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    ip.clear();
    port = 0;
  }
  // Not the connection's: the library refuses numbers that select() does not take, and asks nothing else of
  // it.
  socket_t socket() const override { return 0; }
  time_t duration() const { return 0; }

 private:
  int descriptor_;
  std::string_view left_;
  Clock::time_point until_;
  const std::atomic<bool>& stop_;
};

void close_gently(int connection) {
  // What the client still sends would make the system drop an answer that it has not read yet.
  ::shutdown(connection, SHUT_WR);
  char rest[4096];
  for (int i = 0; i < 64; ++i) {
    pollfd one{connection, POLLIN, 0};
    if (::poll(&one, 1, 100) <= 0 || ::recv(connection, rest, sizeof rest, MSG_DONTWAIT) <= 0) break;
  }
  ::close(connection);
}

std::string error_text(const std::string& message) {
  return json_text({{"error", message}}, -1) + "\n";
}

/// Where the line of a name, such as "\nrange:", begins in a header; npos where there is none.
std::size_t line_of(std::string_view header, std::string_view name) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  const auto found = std::search(header.begin(), header.end(), name.begin(), name.end(), same);
  return found == header.end() ? header.npos : static_cast<std::size_t>(found - header.begin());
}

/// The length of the body that a header announces, 0 where it does not; nothing for what is no length.
std::optional<std::size_t> content_length(std::string_view header) {
  constexpr std::string_view name = "\ncontent-length:";
  const std::size_t line = line_of(header, name);
  if (line == header.npos) return 0;
  std::string_view text = header.substr(line + name.size());
  text = text.substr(0, text.find('\r'));
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  while (text.ends_with(' ') || text.ends_with('\t')) text.remove_suffix(1);
  std::size_t out = 0;
  return to_number(text, out) ? std::optional(out) : std::nullopt;
}

/// As many connections as the system lets a process have, after asking for more.
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

}  // namespace

/// The library's server, of which only the reading and writing of one request is used.
class HttpServer::Library final : public httplib::Server {
 public:
  void listens(bool yes) { svr_sock_ = yes ? 0 : INVALID_SOCKET; }

  void process(Connection& connection) { process_by(*this, connection); }

 private:
  // Later versions are told the addresses too.
  template <class Self>
  static void process_by(Self& self, Connection& connection) {
    bool closed = false;
    if constexpr (requires { self.process_request(connection, true, closed, nullptr); }) {
      self.process_request(connection, true, closed, nullptr);
    } else {
      self.process_request(connection, std::string(), 0, std::string(), 0, true, closed, nullptr);
    }
  }
};

/// The threads that answer, which end with this object.
class HttpServer::Workers {
 public:
  explicit Workers(HttpServer& server) : server_(server) {
    for (std::size_t i = 0; i < server.limits_.workers; ++i)
      threads_.emplace_back([&server] { server.work(); });
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  ~Workers() {
    {
      const std::lock_guard lock(server_.mutex_);
      server_.stopping_ = true;
    }
    server_.arrived_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  HttpServer& server_;
  std::vector<std::thread> threads_;
};

HttpServer::HttpServer(const Limits& limits) : limits_(limits), library_(std::make_unique<Library>()) {
  limits_.connections = possible_connections(limits.connections);
  library_->set_payload_max_length(limits.body_bytes);
  library_->set_exception_handler(
      [](const httplib::Request&, httplib::Response& response, std::exception_ptr thrown) {
        response.status = 500;
        std::string message = "an error of an unknown kind";
        try {
          std::rethrow_exception(thrown);
        } catch (const Error& error) {
          response.status = 400;
          message = error.what();
        } catch (const std::exception& error) {
          message = error.what();
        } catch (...) {
        }
        response.set_content(error_text(message), "application/json");
      });
  library_->set_error_handler([this](const httplib::Request& request, httplib::Response& response) {
    if (!response.body.empty()) return;
    std::string message =
        fmt::format("the request is not one that is answered (HTTP status {})", response.status);
    if (response.status == 404) {
      const auto path = paths_.find(request.path);
      if (path != paths_.end()) response.status = 405;
      message = path != paths_.end() ? fmt::format("{} is asked with {}", path->first, path->second)
                                     : "there is nothing here; GET / says what there is";
    }
    if (response.status == 413) message = fmt::format("a request of more than {} bytes", limits_.body_bytes);
    response.set_content(error_text(message), "application/json");
  });
}

HttpServer::~HttpServer() {
  for (const auto& [connection, received] : receiving_) ::close(connection);
  for (const Request& request : requests_) ::close(request.connection);
  for (const int listener : listeners_) ::close(listener);
  if (events_ >= 0) ::close(events_);
}

void HttpServer::get(const std::string& path, Handler handler) {
  paths_[path] = "GET";
  library_->Get(path, [handler = std::move(handler)](const httplib::Request&, httplib::Response& response) {
    handler({}, response);
  });
}

void HttpServer::post(const std::string& path, Handler handler) {
  paths_[path] = "POST";
  // The body is read here, so that one that is compressed has the same limit.
  library_->Post(
      path, [this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response,
                                                 const httplib::ContentReader& read) {
        std::string body;
        bool too_long = false;
        const auto take = [&](const char* data, std::size_t size) {
          too_long = body.size() + size > limits_.body_bytes;
          if (!too_long) body.append(data, size);
          return !too_long;
        };
        if (request.is_multipart_form_data()) {
          response.status = 415;
          response.set_content(error_text("a form was sent; send JSON"), "application/json");
          return;
        }
        const bool whole = read(take);
        if (too_long) response.status = 413;
        if (too_long || !whole) return;
        handler(body, response);
      });
}

int HttpServer::bind(const std::string& host, int port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  const int problem = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (problem != 0) fail<DataError>("{}: no address of this machine ({})", host, ::gai_strerror(problem));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, &::freeaddrinfo);
  int error = 0, chosen = port;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    sockaddr_storage address{};
    std::memcpy(&address, one->ai_addr, one->ai_addrlen);
    in_port_t& its_port = one->ai_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                                     : reinterpret_cast<sockaddr_in&>(address).sin_port;
    its_port = htons(static_cast<std::uint16_t>(chosen));
    const int listener =
        ::socket(one->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, one->ai_protocol);
    const int yes = 1;
    if (listener >= 0) {
      ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      if (one->ai_family == AF_INET6) ::setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
    }
    socklen_t size = one->ai_addrlen;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    if (listener < 0 || ::bind(listener, raw, size) != 0 || ::listen(listener, SOMAXCONN) != 0 ||
        ::getsockname(listener, raw, &size) != 0) {
      error = errno;
      if (listener >= 0) ::close(listener);
      continue;
    }
    chosen = ntohs(its_port);
    listeners_.push_back(listener);
  }
  if (listeners_.empty())
    fail<DataError>("{} port {}: {}; give another --port, or 0 for one that is free", host, port,
                    std::strerror(error));
  return chosen;
}

void HttpServer::run(const std::function<bool()>& stop, const std::function<void()>& closing) {
  events_ = ::epoll_create1(EPOLL_CLOEXEC);
  for (const int listener : listeners_) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = listener;
    if (::epoll_ctl(events_, EPOLL_CTL_ADD, listener, &event) != 0)
      fail<Error>("the server cannot wait for clients: {}", std::strerror(errno));
  }
  library_->listens(true);
  const Workers workers(*this);
  while (!stop()) {
    epoll_event ready[64];
    const int count = ::epoll_wait(events_, ready, 64, 100);
    for (int i = 0; i < count; ++i) {
      const int one = ready[i].data.fd;
      try {
        if (std::ranges::find(listeners_, one) != listeners_.end()) {
          accept_all(one);
        } else {
          receive(one);
        }
      } catch (const std::bad_alloc&) {
        if (receiving_.contains(one)) forget(one);
      }
    }
    expire();
  }
  library_->listens(false);
  closing();
}

void HttpServer::accept_all(int listener) {
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
      // Without a descriptor left none can be taken; those that wait end in time.
      if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return;
    }
    std::size_t others = receiving_.size();
    {
      const std::lock_guard lock(mutex_);
      others += in_work_;
    }
    receiving_[connection].until = Clock::now() + limits_.receiving;
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.fd = connection;
    if (others >= limits_.connections) {
      refuse(connection, "503 Service Unavailable", "too many clients at once; try again");
    } else if (::epoll_ctl(events_, EPOLL_CTL_ADD, connection, &event) != 0) {
      forget(connection);
    }
  }
}

/// Takes what has arrived, and hands the request over once it is there.
void HttpServer::receive(int connection) {
  const auto found = receiving_.find(connection);
  if (found == receiving_.end()) return;
  Received& of = found->second;
  char part[16384];
  const ssize_t count = ::recv(connection, part, sizeof part, 0);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return forget(connection);
  of.bytes.append(part, static_cast<std::size_t>(count));
  received_bytes_ += static_cast<std::size_t>(count);
  if (received_bytes_ > limits_.memory_bytes)
    return refuse(connection, "503 Service Unavailable", "too many large requests at once; try again");
  if (is_whole(connection, of)) hand_over(connection, std::move(of.bytes));
}

/// Whether all of a request is there; one that cannot be answered is refused.
bool HttpServer::is_whole(int connection, Received& of) {
  if (of.header == 0) {
    const std::size_t end = of.bytes.find("\r\n\r\n");
    if (std::min(end, of.bytes.size()) > limits_.header_bytes) {
      refuse(connection, "431 Request Header Fields Too Large",
             fmt::format("a header of more than {} bytes", limits_.header_bytes));
      return false;
    }
    if (end == of.bytes.npos) return false;
    of.header = end + 4;
    const std::string_view header = std::string_view(of.bytes).substr(0, of.header);
    const std::optional<std::size_t> body = content_length(header);
    const bool chunked = line_of(header, "\ntransfer-encoding:") != header.npos;
    if (chunked || !body || *body > limits_.body_bytes) {
      if (chunked) {
        refuse(connection, "411 Length Required", "a body in chunks; send Content-Length");
      } else if (!body) {
        refuse(connection, "400 Bad Request", "a Content-Length that is no number");
      } else {
        refuse(connection, "413 Payload Too Large",
               fmt::format("a request of more than {} bytes", limits_.body_bytes));
      }
      return false;
    }
    of.whole = of.header + *body;
    const std::size_t asks = line_of(header, "\nexpect:");
    if (asks != header.npos && of.bytes.size() < of.whole) {
      constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      static_cast<void>(::send(connection, go_on.data(), go_on.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
    }
    // What has been answered, and parts of an answer, of which the library would make any number.
    for (const char* const name : {"\nexpect:", "\nrange:"}) {
      for (std::size_t at = 0;
           (at = line_of(std::string_view(of.bytes).substr(0, of.header), name)) != header.npos;)
        of.bytes[at + 1] = '-';
    }
  }
  if (of.bytes.size() < of.whole) return false;
  received_bytes_ -= of.bytes.size() - of.whole;
  of.bytes.resize(of.whole);
  return true;
}

void HttpServer::hand_over(int connection, std::string bytes) {
  ::epoll_ctl(events_, EPOLL_CTL_DEL, connection, nullptr);
  received_bytes_ -= bytes.size();
  receiving_.erase(connection);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back({connection, Clock::now(), std::move(bytes)});
    ++in_work_;
  }
  arrived_.notify_one();
}

void HttpServer::forget(int connection) {
  ::epoll_ctl(events_, EPOLL_CTL_DEL, connection, nullptr);
  received_bytes_ -= receiving_[connection].bytes.size();
  receiving_.erase(connection);
  ::close(connection);
}

/// Answers without waiting: what does not fit into the socket is lost.
void HttpServer::refuse(int connection, const char* status, const std::string& message) {
  const std::string body = error_text(message);
  const std::string all = fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, body.size(), body);
  static_cast<void>(::send(connection, all.data(), all.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  ::shutdown(connection, SHUT_WR);
  char rest[4096];
  for (int i = 0; i < 64 && ::recv(connection, rest, sizeof rest, MSG_DONTWAIT) > 0; ++i) {
  }
  forget(connection);
}

void HttpServer::expire() {
  const auto now = Clock::now();
  std::vector<int> late;
  for (const auto& [connection, received] : receiving_) {
    if (received.until < now) late.push_back(connection);
  }
  for (const int connection : late)
    refuse(connection, "408 Request Timeout", "the request did not arrive in time");
}

void HttpServer::work() {
  for (;;) {
    Request request{};
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [&] { return stopping_ || !requests_.empty(); });
      if (stopping_) return;  // the others are closed without an answer
      request = std::move(requests_.front());
      requests_.pop_front();
    }
    answer(request);
    const std::lock_guard lock(mutex_);
    --in_work_;
  }
}

void HttpServer::answer(const Request& request) {
  const auto now = Clock::now();
  try {
    Connection stream(request.connection, request.bytes, now + limits_.answering, stopping_);
    if (now > request.since + limits_.waiting) {
      const std::string late =
          "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n" +
          error_text("too many requests wait for an answer; try again");
      static_cast<void>(stream.write(late.data(), late.size()));
    } else {
      library_->process(stream);
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "gradus: a request failed: {}\n", error.what());
  } catch (...) {
    fmt::print(stderr, "gradus: a request failed\n");
  }
  close_gently(request.connection);
}

}  // namespace gradus::cli
#endif
