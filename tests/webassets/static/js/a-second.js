add("a-second");
