"""The rules of the gate's second stage: what does not work for people who follow a document."""
