#include "models/generation_queue.hpp"

#include <algorithm>
#include <utility>

namespace gradus::models {

std::vector<std::int32_t> GenerationQueue::Text::wait(std::size_t seen, Clock::time_point until) {
  std::unique_lock lock(mutex_);
  const auto there = [&] { return tokens_.size() > seen || ended_; };
  if (until == Clock::time_point::max()) {
    changed_.wait(lock, there);
  } else {
    changed_.wait_until(lock, until, there);
  }
  if (error_) std::rethrow_exception(error_);
  return {tokens_.begin() + static_cast<std::ptrdiff_t>(std::min(seen, tokens_.size())), tokens_.end()};
}

bool GenerationQueue::Text::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

void GenerationQueue::Text::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
}

bool GenerationQueue::Text::is_cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void GenerationQueue::Text::add(std::optional<std::int32_t> token, bool ended) {
  {
    const std::lock_guard lock(mutex_);
    if (token) tokens_.push_back(*token);
    ended_ = ended;
  }
  changed_.notify_all();
}

void GenerationQueue::Text::fail_with(std::exception_ptr error) {
  {
    const std::lock_guard lock(mutex_);
    error_ = std::move(error);
    ended_ = true;
  }
  changed_.notify_all();
}

GenerationQueue::GenerationQueue(const ErasedModel& model, const Options& options)
    : model_(model), options_(options), thread_([this] { run(); }) {}

GenerationQueue::~GenerationQueue() {
  close();
  thread_.join();
}

void GenerationQueue::close() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  asked_.notify_all();
}

GenerationQueue::Texts GenerationQueue::start(std::vector<std::int32_t> prompt,
                                              const std::vector<GenerateOptions>& each) {
  detail::check_prompt(prompt);
  Texts texts;
  for (const GenerateOptions& options : each) texts.push_back(std::shared_ptr<Text>(new Text(options)));
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || (texts_waiting_ > 0 && texts_waiting_ + texts.size() > options_.waiting)) return {};
    waiting_.push_back({std::make_shared<Prompt>(Prompt{std::move(prompt), {}, 0}), texts});
    texts_waiting_ += texts.size();
  }
  asked_.notify_all();
  return texts;
}

/// Whether nobody wants a text any more, which then ends.
bool GenerationQueue::ends_unwanted(const std::shared_ptr<Text>& text) {
  if (!text->is_cancelled()) return false;
  text->add({}, true);
  return true;
}

std::size_t GenerationQueue::texts_in_work() const {
  std::size_t out = writing_.size();
  for (const Reading& one : reading_) out += one.texts.size();
  return out;
}

/// Takes those that wait, as far as there are places; where there is nothing else to do, waits for one. False
/// once the queue is closed.
bool GenerationQueue::admit() {
  std::unique_lock lock(mutex_);
  const std::size_t in_work = texts_in_work();
  if (in_work == 0) asked_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
  std::size_t places = options_.together - std::min(in_work, options_.together);
  while (!stopping_ && !waiting_.empty() && places > 0) {
    Reading next = std::move(waiting_.front());
    waiting_.pop_front();
    texts_waiting_ -= std::erase_if(next.texts, ends_unwanted);
    if (next.texts.empty()) continue;
    const std::size_t some = std::min(places, next.texts.size());
    const auto behind = next.texts.begin() + static_cast<std::ptrdiff_t>(some);
    if (behind != next.texts.end()) waiting_.push_back({next.prompt, Texts(behind, next.texts.end())});
    next.texts.erase(behind, next.texts.end());
    reading_.push_back(std::move(next));
    texts_waiting_ -= some;
    places -= some;
  }
  return !stopping_;
}

/// Some tokens of the prompts that are not read yet, each in turn, so that a long one does not keep the
/// others waiting.
void GenerationQueue::read_prompts() {
  for (std::size_t most = 256; most > 0 && !reading_.empty();) {
    Reading one = std::move(reading_.front());
    reading_.pop_front();
    try {
      std::erase_if(one.texts, ends_unwanted);
      if (one.texts.empty()) continue;
      Prompt& prompt = *one.prompt;
      if (!prompt.state) prompt.state = model_.start();
      const auto left = std::span(std::as_const(prompt.tokens)).subspan(prompt.read);
      const auto now = left.first(std::min(most, left.size()));
      if (!now.empty()) prompt.state = advance(model_, std::move(*prompt.state), now);
      prompt.read += now.size();
      most -= now.size();
      if (prompt.read == prompt.tokens.size()) {
        begin_writing(one);
      } else {
        reading_.push_back(std::move(one));
      }
    } catch (...) {
      for (const std::shared_ptr<Text>& text : one.texts) text->fail_with(std::current_exception());
      one.prompt->state.reset();  // texts of it may wait still
      one.prompt->read = 0;
    }
  }
}

void GenerationQueue::begin_writing(Reading& read) {
  for (const std::shared_ptr<Text>& text : read.texts) {
    Writing one{text, detail::GeneratedText(read.prompt->tokens, text->options_), *read.prompt->state,
                Rng(text->options_.seed, text->options_.stream)};
    if (one.written.ended()) {
      text->add({}, true);
    } else {
      writing_.push_back(std::move(one));
    }
  }
}

/// The next token of each. The log-probabilities come from all states at once; each text is drawn by its own
/// options.
void GenerationQueue::step() {
  if (writing_.empty()) return;
  std::vector<ErasedModel::State> states;
  for (Writing& one : writing_) states.push_back(std::move(one.state));
  const Tensor log_probs =
      log_probs_each(model_, std::span<const ErasedModel::State>(states));  // (texts, vocab)
  std::vector<std::int32_t> tokens;
  std::vector<ErasedModel::State> going_on;
  std::vector<Writing> left;
  for (std::size_t i = 0; i < writing_.size(); ++i) {
    Writing& one = writing_[i];
    try {
      const Tensor own = detail::allowed_log_probs(log_probs[static_cast<std::int64_t>(i)], one.written);
      const std::int32_t token = sample(own, one.text->options_, one.rng, one.written.text());
      const std::size_t before = one.written.tokens().size();
      one.written.add(token);
      const bool ended = one.written.ended() || one.text->is_cancelled();
      const bool is_part = one.written.tokens().size() > before;  // and not what ended it
      one.text->add(is_part ? std::optional(token) : std::nullopt, ended);
      if (ended) continue;
      tokens.push_back(token);
      going_on.push_back(std::move(states[i]));
      left.push_back(std::move(one));
    } catch (...) {
      one.text->fail_with(std::current_exception());
    }
  }
  writing_ = std::move(left);
  if (writing_.empty()) return;
  advance_each(model_, std::span(going_on), std::span<const std::int32_t>(tokens));
  for (std::size_t i = 0; i < writing_.size(); ++i) writing_[i].state = std::move(going_on[i]);
}

void GenerationQueue::run() {
  while (admit()) {
    read_prompts();
    try {
      step();
    } catch (...) {  // of all together, such as a lack of memory
      for (const Writing& one : writing_) one.text->fail_with(std::current_exception());
      writing_.clear();
    }
  }
  const auto closed = std::make_exception_ptr(Error("the queue of texts has been closed"));
  for (const Writing& one : writing_) one.text->fail_with(closed);
  const std::lock_guard lock(mutex_);
  for (const std::deque<Reading>* const all : {&reading_, &waiting_}) {
    for (const Reading& one : *all) {
      for (const std::shared_ptr<Text>& text : one.texts) text->fail_with(closed);
    }
  }
}

}  // namespace gradus::models
