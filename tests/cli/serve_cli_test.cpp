#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <thread>

#include "tests/support/catch.hpp"
#include "tests/support/command.hpp"
#include "text/synthetic.hpp"

// The server, asked over sockets of the test's own, so that it can be asked badly.

using namespace gradus;
using Catch::Contains;
using gradus::test::Folder;
using gradus::test::gradus_command;
using gradus::test::output;
using gradus::test::read_bytes;
using nlohmann::json;

namespace {

/// A server of the folder's model, on a port that was free.
class Server {
 public:
  Server(const Folder& folder, const std::vector<std::string>& arguments) : folder_(folder) {
    std::filesystem::remove(folder.path() / "serve.out");  // of a server before this one
    std::fflush(nullptr);                                  // what is not written yet would be written twice
    child_ = ::fork();
    if (child_ == 0) {
      if (::chdir(folder.path().c_str()) != 0 || std::freopen("serve.out", "w", stdout) == nullptr ||
          std::freopen("serve.err", "w", stderr) == nullptr)
        ::_exit(127);
      std::vector<std::string> all{
          gradus::test::bin_dir() + "/gradus", "serve", "--json", "--port", "0", "--host", "127.0.0.1"};
      all.insert(all.end(), arguments.begin(), arguments.end());
      std::vector<char*> raw;
      for (std::string& one : all) raw.push_back(one.data());
      raw.push_back(nullptr);
      ::execv(raw[0], raw.data());
      ::_exit(127);
    }
    for (int i = 0; i < 2000 && port_ == 0; ++i) {
      const std::string said = read_bytes(folder.path() / "serve.out");
      if (said.ends_with('\n')) port_ = json::parse(said).at("port").get<int>();
      ::usleep(5000);
    }
  }
  ~Server() {
    if (child_ > 0) stop();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const { return port_; }
  /// Its exit code, when it has been asked to end.
  int stop() {
    ::kill(child_, SIGTERM);
    int status = 0;
    ::waitpid(std::exchange(child_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  std::string errors() const { return read_bytes(folder_.path() / "serve.err"); }
  /// Of the memory that it holds, in MB.
  double megabytes() const {
    std::ifstream in("/proc/" + std::to_string(child_) + "/statm");
    long all = 0, held = 0;
    in >> all >> held;
    return static_cast<double>(held) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
  }

  int connect() const {
    const int out = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port_));
    ::inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    REQUIRE(::connect(out, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
    return out;
  }

 private:
  const Folder& folder_;
  pid_t child_ = -1;
  int port_ = 0;
};

void send_all(int to, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count <= 0) return;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}
std::string receive_all(int from) {
  std::string out;
  char part[4096];
  for (ssize_t count = 0; (count = ::recv(from, part, sizeof part, 0)) > 0;)
    out.append(part, static_cast<std::size_t>(count));
  ::close(from);
  return out;
}
/// What is answered to bytes.
std::string answer(const Server& server, std::string_view bytes) {
  const int connection = server.connect();
  send_all(connection, bytes);
  return receive_all(connection);
}
std::string request(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}
int status_of(const std::string& response) {
  return response.starts_with("HTTP/1.1 ") ? std::atoi(response.c_str() + 9) : 0;
}
std::string body_of(const std::string& response) {
  const std::size_t end = response.find("\r\n\r\n");
  return end == response.npos ? "" : response.substr(end + 4);
}
json asked(const Server& server, const std::string& path, const json& body) {
  const std::string response = answer(server, request(path, body.dump()));
  INFO(response);
  REQUIRE(status_of(response) == 200);
  return json::parse(body_of(response));
}
void refused_request(const Server& server, const std::string& path, const std::string& body, const char* what,
                     int status = 400) {
  INFO(path << " " << body.substr(0, 100));
  const std::string response = answer(server, request(path, body));
  CHECK(status_of(response) == status);
  CHECK_THAT(json::parse(body_of(response)).at("error").get<std::string>(), Contains(what));
}

/// Whether the program was built with a server; without one it says what is missing.
bool can_serve(const Folder& folder) {
  const test::Result result = gradus_command(folder, "serve --model none");
  if (result.error.find("without cpp-httplib") == std::string::npos) return true;
  WARN("skipped: the program was built without cpp-httplib");
  return false;
}

void make_model(const Folder& folder) {
  folder.write("text.txt", synthetic_corpus(1, 3000).text);
  output(folder, "train text.txt --kind gru --width 16 --updates 60 --out run");
}

}  // namespace

TEST_CASE("a server answers what the commands print", "[cli][serve]") {
  const Folder folder;
  if (!can_serve(folder)) return;
  make_model(folder);
  Server server(folder, {"--model", "run"});
  const json about = json::parse(body_of(answer(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
  CHECK(about.at("kind") == "gru");
  CHECK(about.at("requests").size() == 3);

  folder.write("line.txt", "the king has a crown .\n");
  const json scored = json::parse(output(folder, "score --model run line.txt --json"));
  const json score = asked(server, "/score", {{"text", "the king has a crown .\n"}, {"details", true}});
  CHECK(score.at("log_prob").get<double>() ==
        Approx(scored.at("log10").get<double>() * std::log(10.0)).epsilon(1e-5));
  CHECK(score.at("tokens") == 7);
  double total = 0;
  for (const json& one : score.at("details")) total += one.at("log_prob").get<double>();
  CHECK(total == Approx(score.at("log_prob").get<double>()));
  CHECK(asked(server, "/score", {{"text", ""}}).at("perplexity").is_null());

  const json next = json::parse(output(folder, "next --model run --context the --top 5 --json")).at("next");
  const json found = asked(server, "/next", {{"context", "the"}, {"top", 5}}).at("next");
  REQUIRE(found.size() == 5);
  for (std::size_t i = 0; i < 5; ++i) CHECK(found[i].at("token") == next[i].at("token"));

  const std::string same = " --prompt the --tokens 12 --temperature 0.7 --seed 3 --json";
  const json written = json::parse(output(folder, "generate --model run" + same));
  json ask{{"prompt", "the"}, {"max_tokens", 12}, {"temperature", 0.7}, {"seed", 3}};
  const json text = asked(server, "/generate", ask);
  CHECK(text.at("text") == written.at("text"));
  CHECK(text.at("tokens") == 12);
  CHECK(text.at("finish") == "length");
  // The same piece by piece.
  ask["stream"] = true;
  const std::string events = answer(server, request("/generate", ask.dump()));
  CHECK_THAT(events, Contains("Content-Type: text/event-stream") && Contains("\"done\":true"));
  std::string joined;
  for (std::size_t at = 0; (at = events.find("data: ", at)) != events.npos; ++at) {
    const json event = json::parse(events.substr(at + 6, events.find('\n', at) - at - 6));
    if (event.contains("text")) joined += event.at("text").get<std::string>();
  }
  CHECK(joined == text.at("text"));
  // Characters of several tokens come whole.
  std::string greek;
  for (int i = 0; i < 400; ++i) greek += i % 3 == 0 ? "\u03b1\u03b2\u03b3 " : "\u20ac\u03b4 ";
  folder.write("greek.txt", greek + "\n");
  output(folder, "train greek.txt --kind ngram --order 4 --unit byte --out bytes");
  {
    Server bytes(folder, {"--model", "bytes"});
    json greek_ask{{"prompt", "\u03b1\u03b2\u03b3 \u20ac\u03b4 "}, {"max_tokens", 60}, {"temperature", 0.5}};
    const std::string whole = asked(bytes, "/generate", greek_ask).at("text").get<std::string>();
    greek_ask["stream"] = true;
    const std::string pieces = answer(bytes, request("/generate", greek_ask.dump()));
    std::string together;
    for (std::size_t at = 0; (at = pieces.find("data: ", at)) != pieces.npos; ++at) {
      const json event = json::parse(pieces.substr(at + 6, pieces.find('\n', at) - at - 6));
      if (event.contains("text")) together += event.at("text").get<std::string>();
    }
    CHECK(together == whole);
    CHECK((whole.find("\u03b1") != whole.npos || whole.find("\u03b4") != whole.npos));
    CHECK(pieces.substr(0, pieces.rfind("data: {\"text\"")).find("\ufffd") == pieces.npos);
  }
  // Several, with a stop, and limited to an expression.
  ask.erase("stream");
  ask["count"] = 3;
  CHECK(asked(server, "/generate", ask).at("texts").size() == 3);
  const std::string stop = text.at("text").get<std::string>().substr(4, 3);
  const json stopped =
      asked(server, "/generate",
            {{"prompt", "the"}, {"max_tokens", 12}, {"temperature", 0.7}, {"seed", 3}, {"stop", stop}});
  CHECK(stopped.at("finish") == "stop");
  CHECK(text.at("text").get<std::string>().starts_with(stopped.at("text").get<std::string>() + stop));
  const json limited = asked(server, "/generate", {{"prompt", "the"}, {"regex", "(king|queen)"}});
  CHECK((limited.at("text") == "king" || limited.at("text") == "queen"));
  CHECK(limited.at("complete") == true);
  CHECK(limited.at("finish") == "end");
  CHECK(server.stop() == 0);
}

TEST_CASE("a server says what is wrong with a request", "[cli][serve]") {
  const Folder folder;
  if (!can_serve(folder)) return;
  make_model(folder);
  Server server(folder, {"--model", "run", "--max-tokens", "50"});
  refused_request(server, "/score", "", "no JSON");
  refused_request(server, "/score", "{\"text\": \"a\"", "no JSON");
  refused_request(server, "/score", "[1]", "no JSON object");
  refused_request(server, "/score", "{}", "lacks \"text\"");
  refused_request(server, "/score", "{\"text\": 3}", "give a text");
  refused_request(server, "/score", "{\"text\": \"\\ud800\"}", "no JSON");
  refused_request(server, "/score", "{\"text\": \"\xff\"}", "no JSON");
  refused_request(server, "/next", "{\"contxt\": \"a\"}", "did you mean 'context'?");
  refused_request(server, "/next", "{\"top\": 0}", "from 1 to");
  refused_request(server, "/next", "{\"top\": 18446744073709551615}", "from 1 to");
  refused_request(server, "/next", "{\"top\": 1e30}", "from 1 to");
  refused_request(server, "/generate", "{\"max_tokens\": 51}", "from 1 to 50");
  refused_request(server, "/generate", "{\"temperature\": -1}", "from 0 to");
  refused_request(server, "/generate", "{\"temperature\": \"hot\"}", "give a number");
  refused_request(server, "/generate", "{\"stop\": [\"\"]}", "empty");
  refused_request(server, "/generate", "{\"stop\": [1]}", "list of texts");
  refused_request(server, "/generate", json{{"stop", std::vector<std::string>(17, "a")}}.dump(),
                  "at most 16");
  refused_request(server, "/generate", "{\"regex\": \"a(\"}", "nothing closes");
  refused_request(server, "/generate", "{\"stream\": true, \"count\": 2}", "of one text");
  refused_request(server, "/generate", std::string(200'000, '['), "in one another");
  const std::string nested = std::string(400'000, '[') + std::string(400'000, ']');
  refused_request(server, "/score", "{\"text\": " + nested + "}", "in one another");
  refused_request(server, "/score", R"({"text": [["a"]]})", "\"text\" is array; give a text");
  // Expressions that would take all memory.
  refused_request(server, "/generate", R"({"regex": "(.{1000}){400}"})", "more than 2000 states");
  refused_request(server, "/generate", "{\"regex\": \"[" + std::string(9000, 'a') + "]{9000}\"}",
                  "more than 2000");
  std::string choices = "a";
  for (int i = 0; i < 3000; ++i) choices += "|a?";
  refused_request(server, "/generate", "{\"regex\": \"" + choices + "\"}", "more than 2000 states");
  refused_request(server, "/generate", "{\"regex\": \"" + std::string(500'000, 'a') + "\"}",
                  "at most 10000 are read");
  refused_request(server, "/generate", R"({"regex": "[^\\x{0}-\\x{D7FF}\\x{E000}-\\x{10FFFF}]"})",
                  "no character is in");
  refused_request(server, "/generate", json{{"stop", std::string(1001, 'a')}}.dump(), "at most 1000");
  std::string long_prompt;
  for (int i = 0; i < 40'000; ++i) long_prompt += "the ";
  refused_request(server, "/generate", json{{"prompt", long_prompt}, {"count", 64}}.dump(), "fewer at once");
  std::string words;
  for (int i = 0; i < 30'000; ++i) words += "the ";
  refused_request(server, "/score", json{{"text", words}, {"details", true}}.dump(),
                  "at most 20000 are listed");
  const auto status = [&](const std::string& bytes) { return status_of(answer(server, bytes)); };
  CHECK(status("GET /none HTTP/1.1\r\nHost: x\r\n\r\n") == 404);
  CHECK(status("GET /score HTTP/1.1\r\nHost: x\r\n\r\n") == 405);
  CHECK(status(request("/", "{}")) == 405);
  CHECK(status("POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n" +
               std::string(2'000'000, 'a')) == 413);
  CHECK(status("hello\r\n\r\n") == 400);
  CHECK(status("POST /score HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n") == 400);
  CHECK(status("POST /score HTTP/1.1\r\nContent-Length:\t12 \r\n\r\n{\"text\":\"a\"}") == 200);
  CHECK(status("POST /score HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 411);
  CHECK(status("POST /score HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: "
               "4\r\n\r\n--x-") == 415);
  // A body that is small as it comes, and large when it is unpacked.
  folder.write("large", "{\"text\": \"" + std::string(5'000'000, 'a') + "\"}");
  REQUIRE(std::system(("gzip -f '" + (folder.path() / "large").string() + "'").c_str()) == 0);
  const std::string packed = read_bytes(folder.path() / "large.gz");
  CHECK(status("POST /score HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: " +
               std::to_string(packed.size()) + "\r\n\r\n" + packed) == 413);
  // Where no handler is, nothing is unpacked, whatever it would be.
  const auto packed_to = [&](const char* line) {
    return answer(server, line + std::string(" HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: ") +
                              std::to_string(packed.size()) + "\r\n\r\n" + packed);
  };
  CHECK(status_of(packed_to("POST /none")) == 404);
  CHECK(status_of(packed_to("PUT /score")) == 405);
  CHECK_THAT(packed_to("PATCH /score"), Contains("/score is asked with POST"));
  CHECK(status_of(packed_to("POST /")) == 405);
  CHECK(status("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n") == 200);
  // Nothing is packed either, which could take seconds.
  CHECK_THAT(answer(server, "GET / HTTP/1.1\r\nAccept-Encoding: br, gzip\r\n\r\n"),
             !Contains("Content-Encoding"));
  // Parts of an answer are not made: of these there would be a thousand.
  std::string ranges = "0-";
  for (int i = 0; i < 1000; ++i) ranges += ",0-";
  const std::string whole = answer(server, "GET / HTTP/1.1\r\nRange: bytes=" + ranges + "\r\n\r\n");
  CHECK(status_of(whole) == 200);
  CHECK(whole.size() < 5000);
  const std::string told =
      answer(server, "POST /score HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 12\r\n\r\n");
  CHECK(told.starts_with("HTTP/1.1 100 Continue"));  // and then, as nothing came, that it was late
  CHECK_THAT(told, Contains("HTTP/1.1 408"));
  CHECK(status("GET / HTTP/1.1\r\nX: " + std::string(100'000, 'a')) == 431);
  CHECK(server.stop() == 0);
  CHECK(server.errors().empty());
  const test::Result taken = gradus_command(folder, "serve --model run --host 192.0.2.1 --port 1");
  CHECK(taken.code == 1);
  CHECK_THAT(taken.error, Contains("192.0.2.1 port 1"));
}

TEST_CASE("slow and many clients neither stop a server nor take its memory", "[cli][serve]") {
  const Folder folder;
  if (!can_serve(folder)) return;
  make_model(folder);
  Server server(folder, {"--model", "run"});
  asked(server, "/next", {{"context", "the"}});
  const double before = server.megabytes();
  // Half of them say nothing, half a part of a request.
  std::vector<int> slow;
  for (int i = 0; i < 400; ++i) {
    slow.push_back(server.connect());
    if (i % 4 == 0) send_all(slow.back(), "POST /generate HTTP/1.1\r\nContent-Length: 100\r\n\r\n{\"pro");
    if (i % 4 == 1)
      send_all(slow.back(),
               "POST /generate HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + std::string(50'000, 'a'));
  }
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) CHECK(asked(server, "/next", {{"context", "the"}}).at("next").size() == 10);
  CHECK(std::chrono::steady_clock::now() - start <
        std::chrono::seconds(8));  // they wait for nobody's time limit
  // A header that never ends.
  const int endless = server.connect();
  send_all(endless, "GET / HTTP/1.1\r\nX: ");
  for (int i = 0; i < 200; ++i) send_all(endless, std::string(1'000'000, 'a'));  // if they were kept, 200 MB
  ::close(endless);
  CHECK(asked(server, "/next", {{"context", "the"}}).at("next").size() == 10);
  CHECK(server.megabytes() < before + 150);
  // Clients that do not read answers of a megabyte, more of them than there are workers.
  std::string words;
  for (int i = 0; i < 19'000; ++i) words += "the ";
  const std::string large = request("/score", json{{"text", words}, {"details", true}}.dump());
  const auto unread = slow.size();
  for (int i = 0; i < 60; ++i) {
    slow.push_back(server.connect());
    send_all(slow.back(), large);
  }
  CHECK(asked(server, "/next", {{"context", "the"}}).at("next").size() == 10);
  // Their answers, of 54 MB, and what making each took.
  CHECK(server.megabytes() < before + 250);
  // They get all of it when they read.
  const std::string late = receive_all(std::exchange(slow[unread], ::dup(0)));
  CHECK(status_of(late) == 200);
  CHECK(late.size() > 800'000);
  CHECK(json::parse(body_of(late)).at("details").size() == 19'000);
  // Those that were late are told so.
  CHECK(status_of(receive_all(slow[0])) == 408);
  for (std::size_t i = 1; i < slow.size(); ++i) ::close(slow[i]);
  // Several at once are each answered as alone.
  const json ask{{"prompt", "the"}, {"max_tokens", 60}, {"seed", 2}};
  const json alone = asked(server, "/generate", ask);
  std::vector<std::string> responses(8);
  std::vector<std::thread> clients;
  for (std::string& response : responses)
    clients.emplace_back([&] { response = answer(server, request("/generate", ask.dump())); });
  for (std::thread& client : clients) client.join();
  for (const std::string& response : responses) CHECK(json::parse(body_of(response)) == alone);
}

TEST_CASE("a text that nobody reads any more gives its place to others", "[cli][serve]") {
  const Folder folder;
  if (!can_serve(folder)) return;
  make_model(folder);
  Server server(folder, {"--model", "run", "--max-tokens", "1000000", "--seconds", "600", "--together", "1"});
  const int gone = server.connect();
  send_all(gone, request("/generate", R"({"max_tokens": 1000000, "stream": true})"));
  char some[512];
  CHECK(::recv(gone, some, sizeof some, 0) > 0);
  ::close(gone);
  CHECK(asked(server, "/generate", {{"max_tokens", 3}}).at("tokens") == 3);
  // One that would have been sent when it is written.
  const int waits = server.connect();
  send_all(waits, request("/generate", R"({"max_tokens": 1000000, "count": 5})"));
  ::usleep(300'000);
  ::close(waits);
  CHECK(asked(server, "/generate", {{"max_tokens", 3}}).at("tokens") == 3);
}

TEST_CASE("texts that too many wait for are refused, and asked for again later", "[cli][serve]") {
  const Folder folder;
  if (!can_serve(folder)) return;
  make_model(folder);
  Server server(folder, {"--model", "run", "--max-tokens", "1000000", "--seconds", "600", "--together", "1"});
  const int first = server.connect();
  send_all(first, request("/generate", R"({"max_tokens": 1000000, "stream": true})"));
  char some[512];
  CHECK(::recv(first, some, sizeof some, 0) > 0);  // it has the only place
  // It reads on, since an answer that is not read ends, and its place is free.
  std::thread reader([first] {
    std::vector<char> more(1 << 16);
    while (::recv(first, more.data(), more.size(), 0) > 0) {
    }
  });
  std::vector<int> waiting;
  std::string refusal;
  for (int i = 0; i < 6; ++i) {  // of 256 that may wait each asks for 64
    const int one = server.connect();
    send_all(one, request("/generate", R"({"count": 64})"));
    pollfd answered{one, POLLIN, 0};
    if (::poll(&answered, 1, i < 4 ? 300 : 5000) > 0) {
      refusal = receive_all(one);
    } else {
      waiting.push_back(one);
    }
  }
  CHECK(waiting.size() == 4);
  CHECK(status_of(refusal) == 503);
  CHECK_THAT(refusal, Contains("Retry-After: 5") && Contains("too many texts wait"));
  ::shutdown(first, SHUT_RDWR);
  reader.join();
  ::close(first);
  for (const int one : waiting) CHECK(status_of(receive_all(one)) == 200);
}

TEST_CASE("a request is given up when its time is over", "[cli][serve]") {
  const Folder folder;
  if (!can_serve(folder)) return;
  folder.write("text.txt", synthetic_corpus(1, 3000).text);
  output(folder, "train text.txt --kind gru --width 600 --updates 1 --out run");  // reads 1 MB in seconds
  Server server(folder, {"--model", "run", "--max-tokens", "1000000", "--seconds", "1"});
  const json late = asked(server, "/generate", {{"max_tokens", 1000000}});
  CHECK(late.at("finish") == "time");
  CHECK(late.at("tokens") > 0);
  std::string words;
  for (int i = 0; i < 250'000; ++i) words += "the ";
  refused_request(server, "/score", json{{"text", words}}.dump(), "would take more than 1 s", 503);
  refused_request(server, "/next", json{{"context", words}}.dump(), "would take more than 1 s", 503);
  CHECK(asked(server, "/generate", {{"prompt", words}, {"max_tokens", 3}}).at("finish") == "time");
  CHECK(asked(server, "/next", {{"context", "the"}}).at("next").size() == 10);
}

TEST_CASE("a server ends when it is asked to, whatever it is writing", "[cli][serve]") {
  const Folder folder;
  if (!can_serve(folder)) return;
  make_model(folder);
  Server server(folder, {"--model", "run", "--max-tokens", "1000000", "--seconds", "600"});
  const int streaming = server.connect(), waiting = server.connect(), gone = server.connect();
  send_all(streaming, request("/generate", R"({"max_tokens": 1000000, "stream": true})"));
  send_all(waiting, request("/generate", R"({"max_tokens": 1000000})"));
  send_all(gone, request("/generate", R"({"max_tokens": 1000000, "stream": true})"));
  const int scoring = server.connect();
  std::string words;
  for (int i = 0; i < 250'000; ++i) words += "the ";
  send_all(scoring, request("/score", json{{"text", words}}.dump()));
  char some[512];
  CHECK(::recv(streaming, some, sizeof some, 0) > 0);
  CHECK(::recv(gone, some, sizeof some, 0) > 0);
  ::close(gone);
  const auto start = std::chrono::steady_clock::now();
  CHECK(server.stop() == 0);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));
  ::close(scoring);
  ::close(streaming);
  ::close(waiting);
}
