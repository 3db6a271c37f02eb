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

/// Those that wait, as far as there are places; where nothing is being written, waits for one.
void GenerationQueue::admit(std::vector<Writing>& writing) {
  for (;;) {
    std::shared_ptr<Text> next;
    {
      std::unique_lock lock(mutex_);
      if (writing.empty()) asked_.wait(lock, [&] { return stopping_ || !waiting_.empty(); });
      if (stopping_ || waiting_.empty() || writing.size() >= options_.together) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    try {
      Writing one{next, detail::GeneratedText(next->prompt_, next->options_), model_.start(),
                  Rng(next->options_.seed, next->options_.stream)};
      if (one.written.ended()) {
        show(one, true);
        continue;
      }
      one.state = advance(model_, std::move(one.state), std::span<const std::int32_t>(next->prompt_));
      writing.push_back(std::move(one));
    } catch (...) {
      fail_with(*next, std::current_exception());
    }
  }
}

/// The next token of each. The log-probabilities come from all states at once; each text is drawn by its own
/// options.
void GenerationQueue::step(std::vector<Writing>& writing) {
  std::vector<ErasedModel::State> states;
  for (Writing& one : writing) states.push_back(std::move(one.state));
  const Tensor log_probs = log_probs_each(model_, std::span<const ErasedModel::State>(states));
  std::vector<std::int32_t> tokens;
  std::vector<ErasedModel::State> going_on;
  std::vector<Writing> left;
  for (std::size_t i = 0; i < writing.size(); ++i) {
    Writing& one = writing[i];
    try {
      const Tensor own = detail::allowed_log_probs(log_probs[static_cast<std::int64_t>(i)], one.written);
      const std::int32_t token = sample(own, one.text->options_, one.rng, one.written.text());
      one.written.add(token);
      bool ended = one.written.ended();
      {
        const std::lock_guard lock(one.text->mutex_);
        ended |= one.text->cancelled_;
      }
      show(one, ended);
      if (ended) continue;
      tokens.push_back(token);
      going_on.push_back(std::move(states[i]));
      left.push_back(std::move(one));
    } catch (...) {
      fail_with(*one.text, std::current_exception());
    }
  }
  writing = std::move(left);
  if (writing.empty()) return;
  advance_each(model_, std::span(going_on), std::span<const std::int32_t>(tokens));
  for (std::size_t i = 0; i < writing.size(); ++i) writing[i].state = std::move(going_on[i]);
}

void GenerationQueue::run() {
  std::vector<Writing> writing;
  for (;;) {
    admit(writing);
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) break;
    }
    try {
      step(writing);
    } catch (...) {  // of all together, such as a lack of memory
      for (const Writing& one : writing) fail_with(*one.text, std::current_exception());
      writing.clear();
    }
  }
  for (const Writing& one : writing) show(one, true);
  const std::lock_guard lock(mutex_);
  for (const std::shared_ptr<Text>& text : waiting_)
    fail_with(*text, std::make_exception_ptr(Error("the queue of texts has been closed")));
}

}  // namespace gradus::models
