#include "text/synthetic_words.hpp"

namespace gradus::synthetic {

std::span<const Noun> heroes() {
  static constexpr Noun words[] = {
      {"girl", "", Gender::she}, {"queen", "", Gender::she}, {"boy", "", Gender::he},
      {"king", "", Gender::he},  {"fox", "", Gender::it},    {"robot", "", Gender::it},
  };
  return words;
}

std::span<const std::string_view> hero_groups() {
  static constexpr std::string_view words[] = {"children", "pirates"};
  return words;
}

std::span<const std::string_view> treasures() {
  static constexpr std::string_view words[] = {"lantern", "mirror", "crown", "violin", "drum", "kite"};
  return words;
}

std::span<const std::string_view> places() {
  static constexpr std::string_view words[] = {"village", "forest", "city",     "castle", "harbor",
                                               "market",  "valley", "mountain", "desert", "island",
                                               "school",  "mill",   "cave",     "inn"};
  return words;
}

std::span<const Noun> people() {
  static constexpr Noun words[] = {
      {"man", "men", Gender::he},
      {"woman", "women", Gender::she},
      {"brother", "brothers", Gender::he},
      {"sister", "sisters", Gender::she},
      {"father", "fathers", Gender::he},
      {"mother", "mothers", Gender::she},
      {"son", "sons", Gender::he},
      {"daughter", "daughters", Gender::she},
      {"lord", "lords", Gender::he},
      {"lady", "ladies", Gender::she},
      {"nephew", "nephews", Gender::he},
      {"niece", "nieces", Gender::she},
      {"grandfather", "grandfathers", Gender::he},
      {"grandmother", "grandmothers", Gender::she},
      {"husband", "husbands", Gender::he},
      {"wife", "wives", Gender::she},
      {"waiter", "waiters", Gender::he},
      {"countess", "countesses", Gender::she},
      {"gentleman", "gentlemen", Gender::he},
      {"maid", "maids", Gender::she},
  };
  return words;
}

std::span<const Noun> animals() {
  static constexpr Noun words[] = {
      {"dog", "dogs"},           {"cat", "cats"},       {"horse", "horses"},       {"bird", "birds"},
      {"cow", "cows"},           {"mouse", "mice"},     {"wolf", "wolves"},        {"goat", "goats"},
      {"duck", "ducks"},         {"frog", "frogs"},     {"rabbit", "rabbits"},     {"donkey", "donkeys"},
      {"goose", "geese"},        {"raven", "ravens"},   {"hedgehog", "hedgehogs"}, {"snake", "snakes"},
      {"squirrel", "squirrels"}, {"lizard", "lizards"}, {"beaver", "beavers"},     {"turtle", "turtles"},
  };
  return words;
}

std::span<const Noun> things() {
  static constexpr Noun words[] = {
      {"house", "houses"},   {"tree", "trees"},       {"door", "doors"},     {"table", "tables"},
      {"boat", "boats"},     {"letter", "letters"},   {"stone", "stones"},   {"book", "books"},
      {"bridge", "bridges"}, {"basket", "baskets"},   {"window", "windows"}, {"flower", "flowers"},
      {"bell", "bells"},     {"garden", "gardens"},   {"candle", "candles"}, {"ship", "ships"},
      {"coat", "coats"},     {"river", "rivers"},     {"tower", "towers"},   {"bottle", "bottles"},
      {"cake", "cakes"},     {"wagon", "wagons"},     {"hat", "hats"},       {"chair", "chairs"},
      {"knife", "knives"},   {"ladder", "ladders"},   {"pot", "pots"},       {"fence", "fences"},
      {"barrel", "barrels"}, {"blanket", "blankets"}, {"cup", "cups"},       {"painting", "paintings"},
      {"drawer", "drawers"}, {"ring", "rings"},       {"mask", "masks"},     {"tent", "tents"},
      {"cloak", "cloaks"},   {"wheel", "wheels"},     {"plate", "plates"},   {"hammer", "hammers"},
      {"pillow", "pillows"}, {"coin", "coins"},       {"kettle", "kettles"}, {"flag", "flags"},
      {"rope", "ropes"},     {"shoe", "shoes"},       {"spoon", "spoons"},   {"statue", "statues"},
  };
  return words;
}

std::span<const std::string_view> adjectives() {
  static constexpr std::string_view words[] = {
      "little", "old",     "good",   "young",  "happy",   "small",  "big",     "red",    "dark",   "kind",
      "cold",   "poor",    "white",  "quiet",  "strong",  "brave",  "strange", "black",  "tired",  "proud",
      "green",  "hungry",  "clever", "gentle", "warm",    "wild",   "silver",  "lonely", "blue",   "noisy",
      "famous", "lazy",    "tiny",   "rusty",  "curious", "broken", "soft",    "heavy",  "golden", "dusty",
      "bright", "careful", "round",  "sleepy", "wooden",  "polite", "yellow",  "muddy",
  };
  return words;
}

std::span<const std::string_view> adverbs() {
  static constexpr std::string_view words[] = {"again",  "slowly",   "early",  "quietly", "together", "often",
                                               "gladly", "outside",  "loudly", "alone",   "quickly",  "here",
                                               "gently", "upstairs", "well",   "nearby"};
  return words;
}

std::span<const std::string_view> prepositions() {
  static constexpr std::string_view words[] = {"near",   "behind", "with",  "under",
                                               "beside", "from",   "above", "without"};
  return words;
}

std::span<const std::string_view> times() {
  static constexpr std::string_view words[] = {"day",    "morning", "evening", "night",
                                               "winter", "summer",  "spring",  "autumn"};
  return words;
}

std::span<const std::string_view> connectives() {
  static constexpr std::string_view words[] = {"then",     "soon",      "later",      "now",
                                               "suddenly", "meanwhile", "afterwards", "tomorrow"};
  return words;
}

std::span<const std::string_view> numbers() {
  static constexpr std::string_view words[] = {"two", "three", "four", "seven"};
  return words;
}

std::span<const Verb> intransitive_verbs() {
  static constexpr Verb words[] = {
      {"sleeps", "sleep"},   {"sings", "sing"},     {"waits", "wait"},       {"laughs", "laugh"},
      {"works", "work"},     {"rests", "rest"},     {"cries", "cry"},        {"dances", "dance"},
      {"smiles", "smile"},   {"dreams", "dream"},   {"plays", "play"},       {"hides", "hide"},
      {"listens", "listen"}, {"shivers", "shiver"}, {"trembles", "tremble"}, {"snores", "snore"},
  };
  return words;
}

std::span<const Verb> transitive_verbs() {
  static constexpr Verb words[] = {
      {"sees", "see"},      {"likes", "like"},     {"takes", "take"},         {"wants", "want"},
      {"carries", "carry"}, {"opens", "open"},     {"follows", "follow"},     {"needs", "need"},
      {"watches", "watch"}, {"paints", "paint"},   {"buys", "buy"},           {"breaks", "break"},
      {"hears", "hear"},    {"forgets", "forget"}, {"sells", "sell"},         {"pulls", "pull"},
      {"pushes", "push"},   {"lifts", "lift"},     {"draws", "draw"},         {"chooses", "choose"},
      {"loses", "lose"},    {"admires", "admire"}, {"remembers", "remember"}, {"describes", "describe"},
      {"hates", "hate"},    {"cleans", "clean"},   {"repairs", "repair"},     {"touches", "touch"},
      {"guards", "guard"},  {"borrows", "borrow"},
  };
  return words;
}

std::span<const Verb> motion_verbs() {
  static constexpr Verb words[] = {{"goes", "go"},       {"walks", "walk"},     {"runs", "run"},
                                   {"comes", "come"},    {"travels", "travel"}, {"rides", "ride"},
                                   {"hurries", "hurry"}, {"sails", "sail"}};
  return words;
}

std::span<const Verb> speech_verbs() {
  static constexpr Verb words[] = {{"says", "say"},         {"asks", "ask"},     {"answers", "answer"},
                                   {"whispers", "whisper"}, {"shouts", "shout"}, {"thinks", "think"}};
  return words;
}

std::span<const Verb> reflexive_verbs() {
  static constexpr Verb words[] = {{"washes", "wash"},
                                   {"scratches", "scratch"},
                                   {"hurts", "hurt"},
                                   {"enjoys", "enjoy"},
                                   {"defends", "defend"}};
  return words;
}

std::span<const Verb> finding_verbs() {
  static constexpr Verb words[] = {
      {"finds", "find"}, {"discovers", "discover"}, {"steals", "steal"}, {"receives", "receive"}};
  return words;
}

std::span<const Verb> keeping_verbs() {
  static constexpr Verb words[] = {
      {"keeps", "keep"}, {"brings", "bring"}, {"hangs", "hang"}, {"leaves", "leave"}};
  return words;
}

}  // namespace gradus::synthetic
