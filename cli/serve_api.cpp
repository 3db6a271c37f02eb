#include "cli/serve_api.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "cli/http_server.hpp"
#include "models/evaluate.hpp"
#include "tensor/support/suggestion.hpp"
#include "text/decoded_text.hpp"
#include "text/prompt.hpp"
#include "text/tokenizer.hpp"
#include "text/utf8.hpp"

namespace gradus::cli {

using nlohmann::json;

/// The members of a request, each taken once; what is left in the end is a mistake.
class RequestFields {
 public:
  explicit RequestFields(std::string_view body) {
    // Deeper than any request is; the library would print and destroy it by recursion.
    static constexpr int deepest = 8;
    const auto check_depth = [](int depth, json::parse_event_t, json&) {
      if (depth > deepest)
        fail<DataError>("the request has more than {} lists or objects in one another", deepest);
      return true;
    };
    try {
      all_ = json::parse(body, check_depth);
    } catch (const json::exception& error) {
      fail<DataError>("the request is no JSON: {}", error.what());
    }
    if (!all_.is_object()) fail<DataError>("the request is no JSON object, such as {{\"text\": \"...\"}}");
  }

  std::string text(const char* name, bool required) {
    const json* const value = take(name);
    if (value == nullptr && required) fail<ArgumentError>("the request lacks \"{}\", a text", name);
    if (value != nullptr && !value->is_string()) wrong(name, "a text");
    return value == nullptr ? std::string() : value->get<std::string>();
  }
  bool flag(const char* name) {
    const json* const value = take(name);
    if (value != nullptr && !value->is_boolean()) wrong(name, "true or false");
    return value != nullptr && value->get<bool>();
  }
  /// A whole number from `least` to `most`.
  std::int64_t whole(const char* name, std::int64_t usual, std::int64_t least, std::int64_t most) {
    const json* const value = take(name);
    if (value == nullptr) return usual;
    const bool fits = value->is_number_unsigned()
                          ? value->get<std::uint64_t>() <= static_cast<std::uint64_t>(most)
                          : value->is_number_integer();
    if (!fits || value->get<std::int64_t>() < least || value->get<std::int64_t>() > most)
      wrong(name, fmt::format("a whole number from {} to {}", least, most));
    return value->get<std::int64_t>();
  }
  double number(const char* name, double usual, double least, double most) {
    const json* const value = take(name);
    if (value == nullptr) return usual;
    if (!value->is_number() || !(value->get<double>() >= least && value->get<double>() <= most))
      wrong(name, fmt::format("a number from {} to {}", least, most));
    return value->get<double>();
  }
  /// One text or a list of them.
  std::vector<std::string> texts(const char* name) {
    const json* const value = take(name);
    if (value == nullptr) return {};
    if (value->is_string()) return {value->get<std::string>()};
    const bool list =
        value->is_array() && std::ranges::all_of(*value, [](const json& v) { return v.is_string(); });
    if (!list) wrong(name, "a text or a list of texts");
    return value->get<std::vector<std::string>>();
  }
  /// Throws ArgumentError for members that nobody took.
  void done() const {
    for (const auto& [name, value] : all_.items()) {
      if (taken_.contains(name)) continue;
      fail<ArgumentError>("the request has \"{}\", which is not known{}", name,
                          suggestion(name, {taken_.begin(), taken_.end()}));
    }
  }

 private:
  const json* take(const char* name) {
    taken_.insert(name);
    const auto found = all_.find(name);
    return found == all_.end() || found->is_null() ? nullptr : &*found;
  }
  [[noreturn]] void wrong(const char* name, const std::string& wanted) const {
    const json& value = all_.at(name);
    const std::string given = value.is_structured()
                                  ? std::string(value.type_name())
                                  : value.dump(-1, ' ', false, json::error_handler_t::replace);
    fail<ArgumentError>("\"{}\" is {}; give {}", name,
                        given.size() > 60 ? given.substr(0, 60) + "..." : given, wanted);
  }

  json all_;
  std::set<std::string> taken_;
};

ServeApi::ServeApi(models::TrainedModel trained, std::string name, const Limits& limits)
    : model_(std::move(trained)),
      name_(std::move(name)),
      limits_(limits),
      queue_(model_.model(), limits.queue) {}

json ServeApi::about() const {
  const Vocabulary& v = model_.vocabulary();
  return {{"model", name_},
          {"kind", model_.kind()},
          {"unit", name_of(v.unit())},
          {"vocabulary", v.size()},
          {"max_tokens", limits_.tokens},
          {"requests",
           {{"POST /score", {{"text", "the end ."}, {"details", false}}},
            {"POST /next", {{"context", "the"}, {"top", 10}}},
            {"POST /generate",
             {{"prompt", "the"},
              {"max_tokens", 100},
              {"temperature", 1.0},
              {"top_k", 0},
              {"top_p", 1.0},
              {"min_p", 0.0},
              {"typical_p", 1.0},
              {"repetition_penalty", 1.0},
              {"repetition_window", 64},
              {"seed", 1},
              {"count", 1},
              {"stop", json::array()},
              {"regex", ""},
              {"allow_unknown", false},
              {"stream", false}}}}}};
}

/// A place among the few that compute in their own threads.
class ServeApi::Turn {
 public:
  Turn(ServeApi& api, Clock::time_point until) : api_(api) {
    while (!api.turns_.try_acquire_for(std::chrono::milliseconds(200)))
      api.check_time(until, "too many requests wait");
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() { api_.turns_.release(); }

 private:
  ServeApi& api_;
};

void ServeApi::check_time(Clock::time_point until, const char* what) const {
  if (closed_) fail<UnavailableError>("the server is being ended");
  if (Clock::now() > until)
    fail<UnavailableError>("{}: it would take more than {} s; send less, or try again", what,
                           limits_.time.count());
}

constexpr std::size_t piece = 512;  // tokens that are read between two looks at the clock

json ServeApi::score(std::string_view body) {
  const auto until = Clock::now() + limits_.time;
  RequestFields fields(body);
  const std::string text = fields.text("text", true);
  const bool details = fields.flag("details");
  fields.done();
  const Vocabulary& v = model_.vocabulary();
  const std::vector<std::int32_t> ids = prompt_ids(v, text);
  if (details && ids.size() > limits_.details)
    fail<DataError>("\"details\" of {} tokens; at most {} are listed", ids.size(), limits_.details);
  const Turn turn(*this, until);
  models::Evaluation sums;
  json tokens = json::array();
  auto state = model_.model().start();
  for (std::size_t from = 0; from < ids.size(); from += piece) {
    check_time(until, "the text is too long");
    const auto part = std::span(ids).subspan(from, std::min(piece, ids.size() - from));
    const std::vector<double> scores = models::score(model_.model(), state, part);
    for (std::size_t i = from == 0 ? 1 : 0; i < part.size(); ++i) {  // the first is the context alone
      sums.add(std::span(scores).subspan(i, 1), part.subspan(i, 1), v.unknown());
      if (details) tokens.push_back({{"token", v.symbol(part[i])}, {"log_prob", scores[i]}});
    }
  }
  json out{{"log_prob", sums.log_prob}, {"tokens", sums.tokens}, {"unknown", sums.unknown}};
  out["perplexity"] = sums.tokens > 0 ? json(sums.perplexity()) : json();
  if (details) out["details"] = std::move(tokens);
  return out;
}

json ServeApi::next(std::string_view body) {
  const auto until = Clock::now() + limits_.time;
  RequestFields fields(body);
  const std::string context = fields.text("context", false);
  const std::int64_t top = fields.whole("top", 10, 1, 100'000);
  fields.done();
  const Vocabulary& v = model_.vocabulary();
  const std::vector<std::int32_t> ids = prompt_ids(v, context);
  const Turn turn(*this, until);
  auto state = model_.model().start();
  for (std::size_t from = 0; from < ids.size(); from += piece) {
    check_time(until, "the context is too long");
    state = models::advance(model_.model(), std::move(state),
                            std::span(ids).subspan(from, std::min(piece, ids.size() - from)));
  }
  json all = json::array();
  for (const models::Candidate& one : models::top_k(model_.model(), state, top)) {
    all.push_back({{"token", symbol_of(v, one.token)},
                   {"probability", std::exp(one.log_prob)},
                   {"log_prob", one.log_prob}});
  }
  return {{"context", context}, {"next", std::move(all)}};
}

models::GenerateOptions ServeApi::options_of(RequestFields& fields, std::vector<std::string>& stops) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  models::GenerateOptions how;
  how.max_tokens = fields.whole("max_tokens", std::min<std::int64_t>(100, limits_.tokens), 1, limits_.tokens);
  how.temperature = fields.number("temperature", 1, 0, 1e6);
  how.top_k = fields.whole("top_k", 0, 0, most);
  how.top_p = fields.number("top_p", 1, 1e-9, 1);
  how.min_p = fields.number("min_p", 0, 0, 1);
  how.typical_p = fields.number("typical_p", 1, 1e-9, 1);
  how.repetition_penalty = fields.number("repetition_penalty", 1, 1e-6, 1e6);
  how.repetition_window = fields.whole("repetition_window", how.repetition_window, 0, most);
  how.seed = static_cast<std::uint64_t>(fields.whole("seed", 1, 0, std::numeric_limits<std::int64_t>::max()));
  const bool allow_unknown = fields.flag("allow_unknown");
  how.banned = ids_without_text(model_.trained(), allow_unknown);
  stops = fields.texts("stop");
  if (std::ranges::find(stops, "") != stops.end()) fail<ArgumentError>("\"stop\" has an empty text");
  if (stops.size() > limits_.stops)
    fail<ArgumentError>("\"stop\" has {} texts; at most {} are looked for", stops.size(), limits_.stops);
  for (const std::string& stop : stops) {
    if (stop.size() > limits_.stop_bytes)
      fail<ArgumentError>("\"stop\" has a text of {} bytes; at most {} are looked for", stop.size(),
                          limits_.stop_bytes);
  }
  const std::string regex = fields.text("regex", false);
  if (regex.size() > limits_.expression_bytes)
    fail<ArgumentError>("\"regex\" of {} bytes; at most {} are read", regex.size(), limits_.expression_bytes);
  if (!regex.empty()) {
    const auto vocabulary = static_cast<std::size_t>(model_.vocabulary().size());
    const std::size_t states = std::min(limits_.expression, limits_.expression_work / vocabulary + 100);
    models::TextAutomaton texts = models::TextAutomaton::of_expression(regex, states);
    how.constraint = constrained(model_.trained(), std::move(texts), allow_unknown);
  }
  if (!stops.empty()) {
    const auto shared = std::make_shared<const std::vector<std::string>>(stops);  // of many texts
    how.until = [this, shared](std::span<const std::int32_t> text) {
      return ends_with_stop(model_.vocabulary(), text, *shared);
    };
  }
  return how;
}

ServeApi::Generation ServeApi::generate(std::string_view body) {
  const auto until = Clock::now() + limits_.time;
  RequestFields fields(body);
  const std::string prompt = fields.text("prompt", false);
  std::vector<std::string> stops;
  models::GenerateOptions how = options_of(fields, stops);
  const std::int64_t count = fields.whole("count", 1, 1, limits_.texts);
  Generation out{.texts = {}, .streamed = fields.flag("stream")};
  fields.done();
  if (out.streamed && count > 1) fail<ArgumentError>("\"stream\" is of one text, and \"count\" is {}", count);
  std::vector<models::GenerateOptions> each(static_cast<std::size_t>(count), how);
  for (std::size_t i = 0; i < each.size(); ++i) each[i].stream = i;
  std::vector<std::int32_t> ids = prompt_ids(model_.vocabulary(), prompt);
  if (ids.size() * each.size() > limits_.prompts)
    fail<ArgumentError>("{} texts behind a prompt of {} tokens; ask for fewer at once", count, ids.size());
  for (auto& text : queue_.start(std::move(ids), each)) {
    Stream one;
    one.api_ = this;
    one.stops_ = stops;
    one.constraint_ = how.constraint;
    one.most_ = how.max_tokens;
    one.until_ = until;
    one.text_ = std::move(text);
    out.texts.push_back(std::move(one));
  }
  return out;
}

void ServeApi::Stream::run(const std::function<bool(std::string_view)>& show,
                           const std::function<bool(json)>& end, const std::function<bool()>& gone) {
  const Vocabulary& v = api_->model_.vocabulary();
  bool wanted = true, ended = false, late = false;
  std::string held;  // of a character that is not complete, which would be no JSON
  StreamedText shown(v, stops_, [&](std::string_view more) {
    held += more;
    const std::size_t whole = whole_characters(held);
    if (wanted && whole > 0) wanted = show(std::string_view(held).substr(0, whole));
    held.erase(0, whole);
  });
  std::vector<std::int32_t> tokens;
  auto asked = Clock::now();
  while (wanted && !ended && !late) {
    ended = text_->ended();  // before the rest of it is taken
    const auto now = Clock::now();
    if (now > asked + std::chrono::seconds(1)) {
      asked = now;
      wanted = !gone();
      if (!wanted) break;
    }
    const std::vector<std::int32_t> more =
        text_->wait(tokens.size(), std::min(until_, now + std::chrono::seconds(1)));
    tokens.insert(tokens.end(), more.begin(), more.end());
    late = !ended && Clock::now() > until_;
    const bool stopped = !stops_.empty() && ends_with_stop(v, tokens, stops_);
    if (!ended && !stopped) shown.add(tokens);
  }
  text_->cancel();
  if (!wanted) return;
  const std::string whole = decode(v, tokens), text = without_stop(whole, stops_);
  shown.finish(text);
  if (wanted && !held.empty()) wanted = show(held);
  if (!wanted) return;
  const char* reason = "end";  // of what may be written
  if (late) {
    reason = "time";
  } else if (text.size() < whole.size()) {
    reason = "stop";
  } else if (std::ssize(tokens) >= most_) {
    reason = "length";
  }
  json out{{"tokens", tokens.size()}, {"finish", reason}};
  if (constraint_) out["complete"] = constraint_->after(tokens)->complete;
  end(std::move(out));
}

void ServeApi::close() {
  closed_ = true;
  queue_.close();
}

}  // namespace gradus::cli
