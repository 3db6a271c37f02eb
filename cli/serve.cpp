#include <fmt/core.h>

#include "cli/commands.hpp"
#include "cli/model_options.hpp"
#include "cli/usage.hpp"
#include "tensor/support/parallel.hpp"

#ifdef GRADUS_SERVER
#include <httplib.h>

#include "cli/http_server.hpp"
#include "cli/interrupt.hpp"
#include "cli/serve_api.hpp"
#endif

// The command that answers requests over HTTP.
namespace gradus::cli {

namespace {

struct ServeCommand : ModelOptions {
  std::string host = "localhost";
  int port = 8080, threads = 0;
  std::int64_t most_tokens = 4096, seconds = 120, together = 16;

  void run() const;
};

#ifdef GRADUS_SERVER

using nlohmann::json;

void set_json(httplib::Response& response, const json& content) {
  response.set_content(json_text(content, -1) + "\n", "application/json");
}

/// One text as it is written, as server-sent events (the HTML standard, section 9.2): data: and a line of
/// JSON.
void stream(httplib::Response& response, ServeApi::Stream text) {
  response.set_header("Cache-Control", "no-store");
  const auto held = std::make_shared<ServeApi::Stream>(std::move(text));
  response.set_chunked_content_provider("text/event-stream", [held](std::size_t, httplib::DataSink& sink) {
    const auto send = [&](const json& content) {
      const std::string event = "data: " + json_text(content, -1) + "\n\n";
      return sink.is_writable() && sink.write(event.data(), event.size());
    };
    bool open = true;
    try {
      held->run(
          [&](std::string_view piece) {
            return open = send({{"text", piece}});
          },
          [&](json end) {
            end["done"] = true;
            return open = send(end);
          },
          [&] { return !sink.is_writable(); });
    } catch (const std::exception& error) {
      open = send({{"error", error.what()}});
    }
    if (open) sink.done();
    return open;
  });
}

void generate(ServeApi& api, const HttpServer::Call& call, httplib::Response& response) {
  ServeApi::Generation all = api.generate(call.body);
  if (all.texts.empty()) {
    response.status = 503;
    response.set_header("Retry-After", "5");
    return set_json(response, {{"error", "too many texts wait to be written; try again"}});
  }
  if (all.streamed) return stream(response, std::move(all.texts.front()));
  json texts = json::array();
  for (ServeApi::Stream& one : all.texts) {
    std::string text;
    json out;
    one.run(
        [&](std::string_view piece) {
          text += piece;
          return true;
        },
        [&](json end) {
          out = std::move(end);
          return true;
        },
        call.gone);
    if (out.is_null()) return;  // nobody reads it
    out["text"] = text;
    texts.push_back(std::move(out));
  }
  set_json(response, texts.size() == 1 ? texts.front() : json{{"texts", texts}});
}

void ServeCommand::run() const {
  set_threads(threads);
  ServeApi::Limits limits{.tokens = most_tokens, .time = std::chrono::seconds(seconds)};
  limits.queue.together = static_cast<std::size_t>(together);
  ServeApi api(load(), model, limits);
  HttpServer::Limits sockets;
  sockets.workers = 2 * limits.queue.together + 16;  // those that wait for a text, and others
  HttpServer server(sockets);
  server.get("/",
             [&](const HttpServer::Call&, httplib::Response& response) { set_json(response, api.about()); });
  server.post("/score", [&](const HttpServer::Call& call, httplib::Response& response) {
    set_json(response, api.score(call.body));
  });
  server.post("/next", [&](const HttpServer::Call& call, httplib::Response& response) {
    set_json(response, api.next(call.body));
  });
  server.post("/generate", [&](const HttpServer::Call& call, httplib::Response& response) {
    generate(api, call, response);
  });
  const int bound = server.bind(host, port);
  const Interrupts interrupts;
  const std::string address = host.find(':') == host.npos ? host : "[" + host + "]";
  if (json) {
    fmt::print("{}\n", json_text({{"host", host}, {"port", bound}}, -1));
  } else {
    fmt::print("{} answers on http://{}:{}/; Ctrl-C ends it\n", model, address, bound);
  }
  std::fflush(stdout);
  server.run(&Interrupts::came, [&] { api.close(); });
}

#else

void ServeCommand::run() const {
  fail<Error>(
      "this program was built without cpp-httplib, which `gradus serve` needs; install it by "
      "scripts/bootstrap "
      "server, and build again");
}

#endif

}  // namespace

void add_serve(CLI::App& app) {
  const auto [c, options] = subcommand<ServeCommand>(
      app, "serve", &ServeCommand::run, "Answer score, next and generate as JSON over HTTP",
      "Examples:\n  gradus serve --model run1\n"
      "  curl localhost:8080/generate -d '{\"prompt\": \"Once upon\", \"max_tokens\": 50}'\n"
      "  curl -N localhost:8080/generate -d '{\"prompt\": \"Once upon\", \"stream\": true}'\n"
      "  curl localhost:8080/score -d '{\"text\": \"the end .\"}'\n"
      "  curl localhost:8080/next -d '{\"context\": \"the\", \"top\": 5}'");
  options->add_to(c);
  c->add_option("--host", options->host,
                "The address to listen at; with another than localhost, other machines may ask");
  c->add_option("--port", options->port, "0: any that is free, which is printed")
      ->check(CLI::Range(0, 65535));
  c->add_option("--max-tokens", options->most_tokens, "The most tokens of a text")
      ->check(CLI::Range(1, 1 << 20));
  c->add_option("--seconds", options->seconds, "The longest time of a request")->check(CLI::Range(1, 86400));
  c->add_option("--together", options->together,
                "How many texts are written side by side, so that weights are read once for all")
      ->check(CLI::Range(1, 1024));
  add_threads(c, options->threads);
}

}  // namespace gradus::cli
