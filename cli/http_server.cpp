#ifdef GRADUS_SERVER
#include "cli/http_server.hpp"

#include <fcntl.h>
#include <httplib.h>
#include <netdb.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/usage.hpp"
#include "tensor/support/error.hpp"

namespace gradus::cli {

namespace {

using Clock = std::chrono::steady_clock;

// What is waited for before a worker reads a longer body by itself: less than sockets hold.
constexpr std::size_t body_in_socket = std::size_t{32} << 10;

bool wait_for(int connection, short what, Clock::time_point until) {
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return false;
    pollfd one{connection, what, 0};
    const int found = ::poll(&one, 1, static_cast<int>(std::min<long>(left, 1000)));
    if (found > 0) return true;
    if (found < 0 && errno != EINTR) return false;
  }
}

/// A connection as the library sees it: with a time for the whole request, and one for each part of the
/// answer. What later versions of the library ask of a stream is here too.
class Connection final : public httplib::Stream {
 public:
  Connection(int descriptor, const HttpServer::Limits& limits)
      : descriptor_(descriptor), limits_(limits), received_by_(Clock::now() + limits.receiving) {}

  bool is_readable() const override { return wait_for(descriptor_, POLLIN, received_by_); }
  bool is_writable() const override {
    // An answer that is written piece by piece ends when the client has gone.
    pollfd one{descriptor_, POLLOUT | POLLRDHUP, 0};
    return ::poll(&one, 1, 0) >= 0 && (one.revents & (POLLERR | POLLHUP | POLLRDHUP)) == 0;
  }
  bool wait_readable() const { return is_readable(); }
  bool wait_writable() const { return is_writable(); }

  ssize_t read(char* to, std::size_t size) override {
    if (!wait_for(descriptor_, POLLIN, received_by_)) return -1;
    return ::recv(descriptor_, to, size, 0);
  }
  ssize_t write(const char* from, std::size_t size) override {
    std::size_t done = 0;
    while (done < size) {
      if (!wait_for(descriptor_, POLLOUT, Clock::now() + limits_.sending)) return -1;
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
  socket_t socket() const override { return descriptor_; }
  time_t duration() const { return 0; }

 private:
  int descriptor_;
  const HttpServer::Limits& limits_;
  Clock::time_point received_by_;
};

void close_gently(int connection) {
  // What the client still sends would make the system drop an answer that it has not read yet.
  ::shutdown(connection, SHUT_WR);
  char rest[4096];
  const auto until = Clock::now() + std::chrono::milliseconds(200);
  for (int i = 0; i < 64 && wait_for(connection, POLLIN, until); ++i) {
    if (::recv(connection, rest, sizeof rest, MSG_DONTWAIT) <= 0) break;
  }
  ::close(connection);
}

std::string error_text(const std::string& message) {
  return json_text({{"error", message}}, -1) + "\n";
}

/// Where in a header the value of a name begins, such as "\ncontent-length:"; npos where it is not there.
std::size_t value_of(std::string_view header, std::string_view name) {
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  const auto found = std::search(header.begin(), header.end(), name.begin(), name.end(), same);
  return found == header.end() ? header.npos : static_cast<std::size_t>(found - header.begin()) + name.size();
}
bool has_header(std::string_view header, std::string_view name) {
  return value_of(header, name) != header.npos;
}

/// The length of the body that a header announces; 0 where it does not.
std::size_t content_length(std::string_view header) {
  std::size_t out = 0;
  for (std::size_t at = value_of(header, "\ncontent-length:"); at < header.size(); ++at) {
    if (header[at] == ' ') continue;
    if (header[at] < '0' || header[at] > '9' || out > (std::size_t{1} << 40)) break;
    out = 10 * out + static_cast<std::size_t>(header[at] - '0');
  }
  return out;
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

HttpServer::HttpServer(const Limits& limits) : limits_(limits), library_(std::make_unique<Library>()) {
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
  for (const auto& [connection, until] : waiting_) ::close(connection);
  if (listener_ >= 0) ::close(listener_);
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
  // The body is read here, so that one in chunks or compressed has the same limit.
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
  const int problem = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (problem != 0) fail<DataError>("{}: no address of this machine ({})", host, ::gai_strerror(problem));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> all(found, &::freeaddrinfo);
  int error = 0;
  for (const addrinfo* one = found; one != nullptr && listener_ < 0; one = one->ai_next) {
    listener_ = ::socket(one->ai_family, one->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, one->ai_protocol);
    if (listener_ < 0) continue;
    const int yes = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(listener_, one->ai_addr, one->ai_addrlen) == 0 && ::listen(listener_, SOMAXCONN) == 0) break;
    error = errno;
    ::close(listener_);
    listener_ = -1;
  }
  if (listener_ < 0)
    fail<DataError>("{} port {}: {}; give another --port, or 0 for one that is free", host, port,
                    std::strerror(error));
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  ::getsockname(listener_, reinterpret_cast<sockaddr*>(&own), &size);
  const in_port_t chosen = own.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(own).sin6_port
                                                     : reinterpret_cast<const sockaddr_in&>(own).sin_port;
  return ntohs(chosen);
}

void HttpServer::run(const std::function<bool()>& stop, const std::function<void()>& closing) {
  events_ = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener_;
  ::epoll_ctl(events_, EPOLL_CTL_ADD, listener_, &event);
  library_->listens(true);
  for (std::size_t i = 0; i < limits_.workers; ++i) workers_.emplace_back([this] { work(); });
  while (!stop()) {
    epoll_event ready[64];
    const int count = ::epoll_wait(events_, ready, 64, 100);
    for (int i = 0; i < count; ++i) {
      if (ready[i].data.fd == listener_) {
        accept_all();
      } else {
        look_at(ready[i].data.fd);
      }
    }
    expire();
  }
  library_->listens(false);
  closing();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  arrived_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void HttpServer::accept_all() {
  for (;;) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
      // Without a descriptor left none can be taken; those that wait end in time.
      if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return;
    }
    std::size_t others = waiting_.size();
    {
      const std::lock_guard lock(mutex_);
      others += in_work_;
    }
    waiting_[connection] = Clock::now() + limits_.receiving;
    if (others >= limits_.connections) {
      refuse(connection, "503 Service Unavailable", "too many clients at once; try again");
      continue;
    }
    // Told of what arrives once, as a part that has been looked at stays where it is.
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    event.data.fd = connection;
    ::epoll_ctl(events_, EPOLL_CTL_ADD, connection, &event);
    look_at(connection);
  }
}

/// Hands a request over once it is there. It is only looked at: a worker reads it.
void HttpServer::look_at(int connection) {
  if (!waiting_.contains(connection)) return;
  std::vector<char> bytes(limits_.header_bytes);
  const ssize_t count = ::recv(connection, bytes.data(), bytes.size(), MSG_PEEK);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) return forget(connection);
  const std::string_view seen(bytes.data(), static_cast<std::size_t>(count));
  const std::size_t end = seen.find("\r\n\r\n");
  if (end == seen.npos) {
    if (seen.size() == bytes.size())
      refuse(connection, "431 Request Header Fields Too Large", "a header that is too large");
    return;
  }
  const std::size_t header = end + 4;
  int there = 0;
  ::ioctl(connection, FIONREAD, &there);
  const std::size_t body = std::min(content_length(seen.substr(0, header)), body_in_socket);
  // A client may wait to be told to go on before it sends its body.
  const bool asks = has_header(seen.substr(0, header), "\nexpect:");
  if (asks || static_cast<std::size_t>(there) >= header + body) hand_over(connection);
}

void HttpServer::hand_over(int connection) {
  ::epoll_ctl(events_, EPOLL_CTL_DEL, connection, nullptr);
  waiting_.erase(connection);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(connection);
    ++in_work_;
  }
  arrived_.notify_one();
}

void HttpServer::forget(int connection) {
  ::epoll_ctl(events_, EPOLL_CTL_DEL, connection, nullptr);
  waiting_.erase(connection);
  ::close(connection);
}

/// Answers without waiting: what does not fit into the socket is lost.
void HttpServer::refuse(int connection, const char* status, const char* message) {
  const std::string body = error_text(message);
  const std::string all = fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, body.size(), body);
  static_cast<void>(::send(connection, all.data(), all.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
  ::shutdown(connection, SHUT_WR);
  char rest[4096];
  while (::recv(connection, rest, sizeof rest, MSG_DONTWAIT) > 0) {
  }
  forget(connection);
}

void HttpServer::expire() {
  const auto now = Clock::now();
  std::vector<int> late;
  for (const auto& [connection, until] : waiting_) {
    if (until < now) late.push_back(connection);
  }
  for (const int connection : late)
    refuse(connection, "408 Request Timeout", "the request did not arrive in time");
}

void HttpServer::work() {
  for (;;) {
    int connection = -1;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [&] { return stopping_ || !requests_.empty(); });
      if (requests_.empty()) return;
      connection = requests_.front();
      requests_.pop_front();
    }
    answer(connection);
    const std::lock_guard lock(mutex_);
    --in_work_;
  }
}

void HttpServer::answer(int connection) {
  try {
    Connection stream(connection, limits_);
    library_->process(stream);
  } catch (const std::exception& error) {
    fmt::print(stderr, "gradus: a request failed: {}\n", error.what());
  }
  close_gently(connection);
}

}  // namespace gradus::cli
#endif
