#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace httplib {
struct Response;
}

namespace gradus::cli {

/// An HTTP server that many slow clients do not stop. cpp-httplib reads and writes HTTP here, but as it comes
/// it gives each connection a thread and headers no limit; so the connections are ours. One thread receives
/// all requests, each into memory of a limited size, and hands a whole one to a worker; one that takes too
/// long or is too large is answered with an error. Each connection is for one request.
class HttpServer {
 public:
  struct Limits {
    std::size_t connections = 2000;  // more are answered with 503; and no more than the system lets open
    std::size_t workers = 32;        // requests that are answered at once
    std::size_t header_bytes = std::size_t{1} << 14;
    std::size_t body_bytes = std::size_t{1} << 20;    // also after decompression
    std::size_t memory_bytes = std::size_t{1} << 28;  // of all requests that are being received
    std::chrono::seconds receiving{10};               // from connecting until the request is there
    std::chrono::seconds waiting{30};                 // for a worker
    std::chrono::seconds answering{150};              // from then until the answer has been read
  };
  /// What comes of a body. What it throws is answered as JSON, {"error": message}, with 400 for an Error of
  /// the library, else 500.
  using Handler = std::function<void(const std::string& body, httplib::Response& response)>;

  explicit HttpServer(const Limits& limits);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// A path as it is, without patterns.
  void get(const std::string& path, Handler handler);
  void post(const std::string& path, Handler handler);

  /// Takes all addresses that a name has on this machine; port 0: any that is free. The port. Throws
  /// DataError where it cannot be had.
  int bind(const std::string& host, int port);
  /// Answers until `stop` is true, which is asked several times a second; then calls `closing`, which should
  /// let handlers end, and waits for them.
  void run(const std::function<bool()>& stop, const std::function<void()>& closing);

 private:
  class Library;
  class Workers;
  using Clock = std::chrono::steady_clock;

  /// What of a request has arrived.
  struct Received {
    Clock::time_point until;
    std::string bytes;
    std::size_t header = 0, whole = 0;  // the sizes of the header and of all of it, once they are known
  };
  struct Request {
    int connection;
    Clock::time_point since;
    std::string bytes;
  };

  void accept_all(int listener);
  void receive(int connection);
  bool is_whole(int connection, Received& of);
  void expire();
  void hand_over(int connection, std::string bytes);
  void refuse(int connection, const char* status, const std::string& message);
  void forget(int connection);
  void work();
  void answer(const Request& request);

  Limits limits_;
  std::unique_ptr<Library> library_;
  std::map<std::string, std::string> paths_;  // and their method
  std::vector<int> listeners_;
  int events_ = -1;
  std::map<int, Received> receiving_;
  std::size_t received_bytes_ = 0;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Request> requests_;
  std::size_t in_work_ = 0;
  std::atomic<bool> stopping_ = false;
};

}  // namespace gradus::cli
