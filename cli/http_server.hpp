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

#include "tensor/support/error.hpp"

namespace httplib {
struct Response;
}

namespace gradus::cli {

/// The server cannot answer now, and may be asked again later.
struct UnavailableError : Error {
  using Error::Error;
};

/// An HTTP server that many slow clients do not stop. cpp-httplib reads and writes HTTP here, but as it comes
/// it gives each connection a thread and headers no limit; so the connections are ours. One thread receives
/// all requests, each into memory of a limited size, and hands a whole one to a worker; one that takes too
/// long or is too large is answered with an error. What of an answer does not fit into the socket, that
/// thread sends too, so that who reads slowly keeps no worker. Each connection is for one request.
class HttpServer {
 public:
  struct Limits {
    std::size_t connections = 2000;  // more are answered with 503; and no more than the system lets open
    std::size_t workers = 32;        // requests that are answered at once
    std::size_t header_bytes = std::size_t{1} << 14;
    std::size_t body_bytes = std::size_t{1} << 20;    // also after decompression
    std::size_t memory_bytes = std::size_t{1} << 28;  // of all requests; and as much of all answers
    std::size_t unread_bytes = std::size_t{1} << 20;  // of an answer in pieces: with more, it ends
    std::chrono::seconds receiving{10};               // from connecting until the request is there
    std::chrono::seconds waiting{30};                 // for a worker
    std::chrono::seconds sending{60};                 // from an answer's end until it has been read
  };
  struct Call {
    const std::string& body;
    /// Whether the client has closed its connection.
    std::function<bool()> gone;
  };
  /// What comes of a call. What it throws is answered as JSON, {"error": message}: an UnavailableError with
  /// 503, a NumericError with 500, another Error of the library with 400, all else with 500.
  using Handler = std::function<void(const Call& call, httplib::Response& response)>;

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
  /// What of an answer is still to be sent; then the client's end is waited for.
  struct Sending {
    Clock::time_point until;
    std::string rest;
    std::size_t sent = 0;
    bool all_sent = false;
  };

  void serve(const std::function<bool()>& stop);
  void accept_all(int listener);
  void receive(int connection);
  bool is_whole(int connection, Received& of);
  void expire();
  void hand_over(int connection, std::string bytes);
  void refuse(int connection, const char* status, const std::string& message);
  void forget(int connection);
  void take_answered();
  void finish(int connection, std::string rest);
  void send_rest(int connection, Sending& of);
  void drain(int connection);
  void drop(int connection);
  void work();
  std::string answer(const Request& request);

  Limits limits_;
  std::unique_ptr<Library> library_;
  std::map<std::string, std::string> paths_;  // and their method
  std::vector<int> listeners_;
  int events_ = -1, wake_ = -1;
  // Of the thread that receives and sends.
  std::map<int, Received> receiving_;
  std::map<int, Sending> sending_;
  std::size_t sending_bytes_ = 0;
  std::atomic<std::size_t> received_bytes_ = 0;  // until a worker takes them
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Request> requests_;
  std::vector<std::pair<int, std::string>> answered_;  // by workers, and what is still to be sent
  std::size_t in_work_ = 0;
  std::atomic<bool> stopping_ = false;
};

}  // namespace gradus::cli
