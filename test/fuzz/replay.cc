// Goes through inputs, one by one, where there is no libFuzzer
// (scripts/sanitize.mjs): those of a file that has one in each line, in
// hexadecimal.
//
//   fuzz_connection corpus.txt

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int count, char** arguments) {
  if (count != 2) return 2;
  std::ifstream file(arguments[1]);
  size_t inputs = 0;
  for (std::string line; std::getline(file, line); inputs++) {
    std::vector<uint8_t> input;
    for (size_t i = 0; i + 1 < line.size(); i += 2) {
      const std::string byte = line.substr(i, 2);
      input.push_back(static_cast<uint8_t>(std::stoul(byte, nullptr, 16)));
    }
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu inputs\n", inputs);
  return inputs == 0 ? 1 : 0;
}
