add("third");
