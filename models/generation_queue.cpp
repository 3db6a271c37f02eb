#include "models/generation_queue.hpp"

#include <algorithm>
#include <utility>

namespace gradus::models {

std::vector<std::int32_t> GenerationQueue::Text::wait(std::size_t seen) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return tokens_.size() > seen || ended_; });
  if (error_) std::rethrow_exception(error_);
  return tokens_;
}

bool GenerationQueue::Text::ended() const {
  const std::lock_guard lock(mutex_);
  return ended_;
}

void GenerationQueue::Text::cancel() {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
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

std::shared_ptr<GenerationQueue::Text> GenerationQueue::start(std::vector<std::int32_t> prompt,
                                                              const GenerateOptions& options) {
  detail::check_prompt(prompt);
  auto text = std::make_shared<Text>();
  text->prompt_ = std::move(prompt);
  text->options_ = options;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || waiting_.size() >= options_.waiting) return nullptr;
    waiting_.push_back(text);
  }
  asked_.notify_all();
  return text;
}

void GenerationQueue::fail_with(Text& text, std::exception_ptr error) {
  {
    const std::lock_guard lock(text.mutex_);
    text.error_ = std::move(error);
    text.ended_ = true;
  }
  text.changed_.notify_all();
}

void GenerationQueue::show(const Writing& one, bool ended) {
  {
    const std::lock_guard lock(one.text->mutex_);
    one.text->tokens_ = one.written.copy_tokens();
    one.text->ended_ = ended;
  }
  one.text->changed_.notify_all();
}

bool GenerationQueue::is_cancelled(const Text& text) {
  const std::lock_guard lock(text.mutex_);
  return text.cancelled_;
}

/// Takes those that wait, as far as there are places; where there is nothing else to do, waits for one.
void GenerationQueue::admit() {
  std::unique_lock lock(mutex_);
  if (idle()) asked_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
  while (!stopping_ && !waiting_.empty() && reading_.size() + writing_.size() < options_.together) {
    const std::shared_ptr<Text> next = std::move(waiting_.front());
    waiting_.pop_front();
    lock.unlock();
    try {
      reading_.push_back({next, detail::GeneratedText(next->prompt_, next->options_), model_.start(),
                          Rng(next->options_.seed, next->options_.stream)});
    } catch (...) {
      fail_with(*next, std::current_exception());
    }
    lock.lock();
  }
}

/// Some tokens of the prompts that are not read yet, so that a long one does not keep the others waiting.
void GenerationQueue::read_prompts() {
  for (std::size_t most = 256; most > 0 && !reading_.empty();) {
    Writing& one = reading_.front();
    const std::shared_ptr<Text> text = one.text;
    try {
      if (one.written.ended() || is_cancelled(*text)) {
        show(one, true);
        reading_.pop_front();
        continue;
      }
      const auto left = std::span(std::as_const(text->prompt_)).subspan(one.read);
      const auto now = left.first(std::min(most, left.size()));
      one.state = advance(model_, std::move(one.state), now);
      one.read += now.size();
      most -= now.size();
      if (one.read < text->prompt_.size()) return;
      writing_.push_back(std::move(one));
    } catch (...) {
      fail_with(*text, std::current_exception());
    }
    reading_.pop_front();
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
      one.written.add(token);
      const bool ended = one.written.ended() || is_cancelled(*one.text);
      show(one, ended);
      if (ended) continue;
      tokens.push_back(token);
      going_on.push_back(std::move(states[i]));
      left.push_back(std::move(one));
    } catch (...) {
      fail_with(*one.text, std::current_exception());
    }
  }
  writing_ = std::move(left);
  if (writing_.empty()) return;
  advance_each(model_, std::span(going_on), std::span<const std::int32_t>(tokens));
  for (std::size_t i = 0; i < writing_.size(); ++i) writing_[i].state = std::move(going_on[i]);
}

void GenerationQueue::run() {
  for (;;) {
    admit();
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    read_prompts();
    try {
      step();
    } catch (...) {  // of all together, such as a lack of memory
      for (const Writing& one : writing_) fail_with(*one.text, std::current_exception());
      writing_.clear();
    }
  }
  for (const Writing& one : writing_) show(one, true);
  for (const Writing& one : reading_) show(one, true);
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Text>& text : waiting_)
    fail_with(*text, std::make_exception_ptr(Error("the queue of texts has been closed")));
}

}  // namespace gradus::models
