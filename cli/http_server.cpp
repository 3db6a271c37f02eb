#ifdef GRADUS_SERVER
#include "cli/http_server.hpp"

#include <httplib.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "cli/listener.hpp"
#include "cli/usage.hpp"
#include "tensor/support/error.hpp"

namespace gradus::cli {

namespace {

using Clock = std::chrono::steady_clock;

/// Sends what a socket takes at once, from `sent` on; false when the connection is broken.
bool send_some(int connection, std::string_view bytes, std::size_t& sent) {
  while (sent < bytes.size()) {
    const ssize_t count =
        ::send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

/// Whether the client has closed a connection, or it is broken.
bool has_gone(int connection) {
  pollfd one{connection, POLLRDHUP, 0};
  return ::poll(&one, 1, 0) < 0 || (one.revents & (POLLERR | POLLHUP | POLLRDHUP | POLLNVAL)) != 0;
}

/// The connection whose request this thread answers, for handlers, which the library does not tell it.
thread_local int answered_connection = -1;

/// A request that is there, and the connection that its answer goes to, as the library sees them. What later
/// versions of the library ask of a stream is here too.
class Connection final : public httplib::Stream {
 public:
  Connection(int descriptor, const std::string& request, std::size_t unread_bytes)
      : descriptor_(descriptor), left_(request), unread_bytes_(unread_bytes) {}

  bool is_readable() const override { return !left_.empty(); }
  /// An answer that is written piece by piece ends when the client has gone, or does not read it.
  bool is_writable() const override {
    return !broken_ && rest_.size() - sent_ <= unread_bytes_ && !has_gone(descriptor_);
  }
  bool wait_readable() const { return is_readable(); }
  bool wait_writable() const { return is_writable(); }

  ssize_t read(char* to, std::size_t size) override {
    const std::size_t count = std::min(size, left_.size());
    std::copy_n(left_.data(), count, to);
    left_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  /// Never waits: what the socket does not take is kept.
  ssize_t write(const char* from, std::size_t size) override {
    rest_.append(from, size);
    broken_ = broken_ || !send_some(descriptor_, rest_, sent_);
    if (broken_) return -1;
    if (sent_ == rest_.size()) {
      rest_.clear();
      sent_ = 0;
    }
    return static_cast<ssize_t>(size);
  }
  /// What is still to be sent.
  std::string take_rest() { return broken_ ? std::string() : rest_.substr(sent_); }

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
  std::size_t unread_bytes_;
  std::string rest_;
  std::size_t sent_ = 0;
  bool broken_ = false;
};

std::string error_text(const std::string& message) {
  return json_text({{"error", message}}, -1) + "\n";
}

/// The answer to what cannot be answered.
std::string refusal(const char* status, const std::string& message) {
  const std::string body = error_text(message);
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
      status, body.size(), body);
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
    for (std::size_t i = 0; i < server.limits_.workers; ++i) {
      try {
        threads_.emplace_back([&server] { server.work(); });
      } catch (const std::system_error& error) {  // the system lets no more be made; fewer answer too
        if (threads_.empty()) fail<Error>("the server cannot make threads: {}", error.what());
        break;
      }
    }
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
        } catch (const UnavailableError& error) {
          response.status = 503;
          message = error.what();
        } catch (const NumericError& error) {
          message = error.what();
        } catch (const Error& error) {
          response.status = 400;
          message = error.what();
        } catch (const std::exception& error) {
          message = error.what();
        } catch (...) {
        }
        response.set_content(error_text(message), "application/json");
      });
  // Before the library reads a body, which it would unpack without a limit where no handler of ours is.
  library_->set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    using Routing = httplib::Server::HandlerResponse;
    const auto path = paths_.find(request.path);
    const std::string method = request.method == "HEAD" ? "GET" : request.method;
    if (path != paths_.end() && path->second == method) return Routing::Unhandled;
    response.status = path == paths_.end() ? 404 : 405;
    response.set_content(
        error_text(path == paths_.end() ? "there is nothing here; GET / says what there is"
                                        : fmt::format("{} is asked with {}", path->first, path->second)),
        "application/json");
    return Routing::Handled;
  });
  library_->set_error_handler([this](const httplib::Request&, httplib::Response& response) {
    if (!response.body.empty()) return;
    std::string message =
        fmt::format("the request is not one that is answered (HTTP status {})", response.status);
    if (response.status == 413) message = fmt::format("a request of more than {} bytes", limits_.body_bytes);
    response.set_content(error_text(message), "application/json");
  });
}

HttpServer::~HttpServer() {
  for (const auto& [connection, received] : receiving_) ::close(connection);
  for (const auto& [connection, sending] : sending_) ::close(connection);
  for (const Request& request : requests_) ::close(request.connection);
  for (const int listener : listeners_) ::close(listener);
  if (events_ >= 0) ::close(events_);
  if (wake_ >= 0) ::close(wake_);
}

void HttpServer::get(const std::string& path, Handler handler) {
  paths_[path] = "GET";
  library_->Get(path, [handler = std::move(handler)](const httplib::Request&, httplib::Response& response) {
    handler({std::string(), [] { return has_gone(answered_connection); }}, response);
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
        handler({body, [] { return has_gone(answered_connection); }}, response);
      });
}

int HttpServer::bind(const std::string& host, int port) {
  listeners_ = listen_at(host, port);
  return port;
}

void HttpServer::run(const std::function<bool()>& stop, const std::function<void()>& closing) {
  events_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::vector<int> all = listeners_;
  all.push_back(wake_);
  for (const int one : all) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = one;
    if (::epoll_ctl(events_, EPOLL_CTL_ADD, one, &event) != 0)
      fail<Error>("the server cannot wait for clients: {}", std::strerror(errno));
  }
  library_->listens(true);
  {
    const Workers workers(*this);
    serve(stop);
    library_->listens(false);
    closing();
  }
  take_answered();  // what can be sent at once still is
}

void HttpServer::serve(const std::function<bool()>& stop) {
  while (!stop()) {
    epoll_event ready[64];
    const int count = ::epoll_wait(events_, ready, 64, 100);
    for (int i = 0; i < count; ++i) {
      const int one = ready[i].data.fd;
      try {
        if (std::ranges::find(listeners_, one) != listeners_.end()) {
          accept_all(one);
        } else if (one == wake_) {
          take_answered();
        } else if (const auto sending = sending_.find(one); sending != sending_.end()) {
          if (sending->second.all_sent) {
            drain(one);
          } else {
            send_rest(one, sending->second);
          }
        } else {
          receive(one);
        }
      } catch (const std::bad_alloc&) {
        if (receiving_.contains(one)) forget(one);
      }
    }
    expire();
  }
}

void HttpServer::accept_all(int listener) {
  for (;;) {
    const int connection = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (connection < 0) {
      // Without a descriptor left none can be taken; those that wait end in time.
      if (errno == EMFILE || errno == ENFILE) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return;
    }
    // An answer that is not read is kept here, where it is counted, and not by the system.
    const int buffer = 1 << 16;
    ::setsockopt(connection, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
    std::size_t others = receiving_.size() + sending_.size();
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
    // What has been answered; parts of an answer, of which the library would make any number; and answers
    // that it would compress as well as it can, for seconds.
    for (const char* const name : {"\nexpect:", "\nrange:", "\naccept-encoding:"}) {
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

void HttpServer::refuse(int connection, const char* status, const std::string& message) {
  ::epoll_ctl(events_, EPOLL_CTL_DEL, connection, nullptr);
  received_bytes_ -= receiving_[connection].bytes.size();
  receiving_.erase(connection);
  finish(connection, refusal(status, message));
}

/// Takes over the connections whose requests the workers have answered.
void HttpServer::take_answered() {
  std::uint64_t count = 0;
  static_cast<void>(!::read(wake_, &count, sizeof count));  // it is a sign alone
  std::vector<std::pair<int, std::string>> all;
  {
    const std::lock_guard lock(mutex_);
    all = std::exchange(answered_, {});
    in_work_ -= all.size();
  }
  for (auto& [connection, rest] : all) finish(connection, std::move(rest));
}

/// Sends the rest of an answer, and closes the connection when the client has.
void HttpServer::finish(int connection, std::string rest) {
  epoll_event event{};
  event.data.fd = connection;
  if (sending_bytes_ + rest.size() > limits_.memory_bytes ||
      ::epoll_ctl(events_, EPOLL_CTL_ADD, connection, &event) != 0) {
    ::close(connection);
    return;
  }
  sending_bytes_ += rest.size();
  Sending& of = sending_[connection];
  of.until = Clock::now() + limits_.sending;
  of.rest = std::move(rest);
  send_rest(connection, of);
}

void HttpServer::send_rest(int connection, Sending& of) {
  if (!send_some(connection, of.rest, of.sent)) return drop(connection);
  of.all_sent = of.sent == of.rest.size();
  if (of.all_sent) {
    // What the client still sends would make the system drop an answer that it has not read yet.
    ::shutdown(connection, SHUT_WR);
    sending_bytes_ -= of.rest.size();
    of.rest = std::string();
    of.until = Clock::now() + std::chrono::seconds(1);
  }
  epoll_event event{};
  event.events = of.all_sent ? EPOLLIN | EPOLLRDHUP : EPOLLOUT;
  event.data.fd = connection;
  ::epoll_ctl(events_, EPOLL_CTL_MOD, connection, &event);
}

void HttpServer::drain(int connection) {
  char part[16384];
  const ssize_t count = ::recv(connection, part, sizeof part, MSG_DONTWAIT);
  if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) drop(connection);
}

void HttpServer::drop(int connection) {
  ::epoll_ctl(events_, EPOLL_CTL_DEL, connection, nullptr);
  sending_bytes_ -= sending_[connection].rest.size();
  sending_.erase(connection);
  ::close(connection);
}

void HttpServer::expire() {
  const auto now = Clock::now();
  std::vector<int> late;
  for (const auto& [connection, received] : receiving_) {
    if (received.until < now) late.push_back(connection);
  }
  for (const int connection : late)
    refuse(connection, "408 Request Timeout", "the request did not arrive in time");
  late.clear();
  for (const auto& [connection, sending] : sending_) {
    if (sending.until < now) late.push_back(connection);
  }
  for (const int connection : late) drop(connection);
  std::vector<Request> unanswered;
  {
    const std::lock_guard lock(mutex_);
    for (; !requests_.empty() && requests_.front().since + limits_.waiting < now; requests_.pop_front()) {
      unanswered.push_back(std::move(requests_.front()));
      --in_work_;
    }
  }
  for (const Request& one : unanswered) {
    received_bytes_ -= one.bytes.size();
    finish(one.connection,
           refusal("503 Service Unavailable", "too many requests wait for an answer; try again"));
  }
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
    received_bytes_ -= request.bytes.size();
    std::string rest = answer(request);
    {
      const std::lock_guard lock(mutex_);
      answered_.emplace_back(request.connection, std::move(rest));
    }
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_, &one, sizeof one));
  }
}

/// Answers a request as far as the socket takes it; what is still to be sent.
std::string HttpServer::answer(const Request& request) {
  Connection stream(request.connection, request.bytes, limits_.unread_bytes);
  answered_connection = request.connection;
  try {
    library_->process(stream);
  } catch (const std::exception& error) {
    fmt::print(stderr, "gradus: a request failed: {}\n", error.what());
  } catch (...) {
    fmt::print(stderr, "gradus: a request failed\n");
  }
  return stream.take_rest();
}

}  // namespace gradus::cli
#endif
