#pragma once

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
/// it gives each connection a thread and headers no limit; so the connections are ours. One thread waits for
/// all of them and hands a request to a worker once it has arrived, its header and what a socket holds of its
/// body; one that takes too long, or whose header is too large, is answered with an error. Each connection is
/// for one request.
class HttpServer {
 public:
  struct Limits {
    std::size_t connections = 2000;  // more are answered with 503
    std::size_t workers = 32;        // requests that are answered at once
    std::size_t header_bytes = std::size_t{1} << 14;
    std::size_t body_bytes = std::size_t{1} << 20;  // after decompression
    std::chrono::seconds receiving{10};             // from connecting until the request is there
    std::chrono::seconds sending{30};               // without the client reading any of the answer
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

  /// Takes an address of this machine; port 0: any that is free. The port. Throws DataError where it cannot
  /// be had.
  int bind(const std::string& host, int port);
  /// Answers until `stop` is true, which is asked several times a second; then calls `closing`, which should
  /// let handlers end, and waits for them.
  void run(const std::function<bool()>& stop, const std::function<void()>& closing);

 private:
  class Library;
  using Clock = std::chrono::steady_clock;

  void accept_all();
  void look_at(int connection);
  void expire();
  void hand_over(int connection);
  void refuse(int connection, const char* status, const char* message);
  void forget(int connection);
  void work();
  void answer(int connection);

  Limits limits_;
  std::unique_ptr<Library> library_;
  std::map<std::string, std::string> paths_;  // and their method
  int listener_ = -1, events_ = -1;
  std::map<int, Clock::time_point> waiting_;  // connections and when they are given up
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<int> requests_;
  std::size_t in_work_ = 0;
  bool stopping_ = false;
};

}  // namespace gradus::cli
