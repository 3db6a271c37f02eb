#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "models/erased_model.hpp"
#include "models/generate.hpp"

namespace gradus::models {

/// Texts that come to be asked for at any time, as by the clients of a server, and are written together: one
/// thread draws the next token of each, so that weights are read once for all of them. A text begins as soon
/// as there is a place, and is then what `generate` gives of its prompt and options alone, but for rounding
/// (see there). Prompts are read in parts, in turn, between the tokens of the others; of what asks for
/// several texts, as many begin as there are places, and the rest after what others wait for.
class GenerationQueue {
 public:
  using Clock = std::chrono::steady_clock;
  struct Options {
    std::size_t together = 16;  // texts that are written at once
    std::size_t waiting = 256;  // that wait for a place
  };

  /// A text that is being written. Its owner, one thread, asks for it.
  class Text {
   public:
    /// Waits until there are more than `seen` tokens, the text has ended, or it is `until`: the tokens from
    /// `seen` on. Throws what generating threw.
    std::vector<std::int32_t> wait(std::size_t seen, Clock::time_point until = Clock::time_point::max());
    /// Whether no more tokens come.
    bool ended() const;
    /// Nobody wants the rest.
    void cancel();

   private:
    friend class GenerationQueue;
    explicit Text(const GenerateOptions& options) : options_(options) {}
    bool is_cancelled() const;
    void add(std::optional<std::int32_t> token, bool ended);
    void fail_with(std::exception_ptr error);

    GenerateOptions options_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::int32_t> tokens_;
    std::exception_ptr error_;
    bool ended_ = false, cancelled_ = false;
  };
  using Texts = std::vector<std::shared_ptr<Text>>;

  /// The model must outlive it.
  GenerationQueue(const ErasedModel& model, const Options& options);
  ~GenerationQueue();  // closes it
  GenerationQueue(const GenerationQueue&) = delete;
  GenerationQueue& operator=(const GenerationQueue&) = delete;

  /// Begins a text for each of the options behind a prompt of at least one token, which is read once for all
  /// of them; none where too many wait, and after `close`. options.until is called in the thread of the
  /// queue, and must not wait for anything. Throws ArgumentError for an empty prompt.
  Texts start(std::vector<std::int32_t> prompt, const std::vector<GenerateOptions>& each);
  /// Ends all texts, which then throw, and begins no others.
  void close();

 private:
  /// A prompt, and what has been read of it.
  struct Prompt {
    std::vector<std::int32_t> tokens;
    std::optional<ErasedModel::State> state;
    std::size_t read = 0;
  };
  /// Texts that wait for a place, or for the rest of their prompt to be read.
  struct Reading {
    std::shared_ptr<Prompt> prompt;
    Texts texts;
  };
  struct Writing {
    std::shared_ptr<Text> text;
    detail::GeneratedText written;
    ErasedModel::State state;
    Rng rng;
  };

  void run();
  bool admit();
  void read_prompts();
  void begin_writing(Reading& read);
  void step();
  std::size_t texts_in_work() const;
  static bool ends_unwanted(const std::shared_ptr<Text>& text);

  const ErasedModel& model_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable asked_;
  std::deque<Reading> waiting_;
  std::size_t texts_waiting_ = 0;
  bool stopping_ = false;
  // Of the queue's thread alone.
  std::deque<Reading> reading_;
  std::vector<Writing> writing_;
  std::thread thread_;  // the last, so that all else is there when it begins
};

}  // namespace gradus::models
