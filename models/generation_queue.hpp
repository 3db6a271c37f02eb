#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "models/erased_model.hpp"
#include "models/generate.hpp"

namespace gradus::models {

/// Texts that come to be asked for at any time, as by the clients of a server, and are written together: one
/// thread draws the next token of each, so that weights are read once for all of them. A text begins as soon
/// as there is a place, and is then what `generate` gives of its prompt and options alone, but for rounding
/// (see there).
class GenerationQueue {
 public:
  struct Options {
    std::size_t together = 16;  // texts that are written at once
    std::size_t waiting = 256;  // that wait for a place
  };

  /// A text that is being written. Its owner, one thread, asks for it.
  class Text {
   public:
    /// Waits until there are more than `seen` tokens or the text has ended; the tokens so far. Throws what
    /// generating threw.
    std::vector<std::int32_t> wait(std::size_t seen);
    /// Whether no more tokens come.
    bool ended() const;
    /// Nobody wants the rest.
    void cancel();

   private:
    friend class GenerationQueue;
    GenerateOptions options_;
    std::vector<std::int32_t> prompt_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::int32_t> tokens_;
    std::exception_ptr error_;
    bool ended_ = false, cancelled_ = false;
  };

  /// The model must outlive it.
  GenerationQueue(const ErasedModel& model, const Options& options);
  ~GenerationQueue();  // closes it
  GenerationQueue(const GenerationQueue&) = delete;
  GenerationQueue& operator=(const GenerationQueue&) = delete;

  /// Begins a text behind a prompt of at least one token; null where too many wait, and after `close`.
  /// options.until is called in the thread of the queue, and must not wait for anything. Throws ArgumentError
  /// for an empty prompt.
  std::shared_ptr<Text> start(std::vector<std::int32_t> prompt, const GenerateOptions& options);
  /// Ends the texts that are not complete, where they are; those that wait throw, and no others begin.
  void close();

 private:
  struct Writing {
    std::shared_ptr<Text> text;
    detail::GeneratedText written;
    ErasedModel::State state;
    Rng rng;
    std::size_t read = 0;  // tokens of the prompt
  };

  void run();
  void admit();
  void read_prompts();
  void step();
  /// Whether there is nothing to read or write.
  bool idle() const { return reading_.empty() && writing_.empty(); }
  static void show(const Writing& one, bool ended);
  static bool is_cancelled(const Text& text);
  static void fail_with(Text& text, std::exception_ptr error);

  const ErasedModel& model_;
  const Options options_;
  std::mutex mutex_;
  std::condition_variable asked_;
  std::deque<std::shared_ptr<Text>> waiting_;
  bool stopping_ = false;
  // Of the queue's thread alone: texts whose prompts are being read, and texts that are being written.
  std::deque<Writing> reading_;
  std::vector<Writing> writing_;
  std::thread thread_;  // the last, so that all else is there when it begins
};

}  // namespace gradus::models
